// Calls one method that it knows by reflection alone.
//
//   NODE_TOOLS=... node reflected.js ADDRESS package.Service/Method JSON
//
// Prints one JSON object: the answer, and the fields of the request.
'use strict';

const seen = require('./seen.js');
const { grpc } = seen;
const { Client: Reflection } = seen.tools('grpc-reflection-js');

seen.report(async () => {
  const [address, method, json] = process.argv.slice(2);
  if (!json) throw new Error('expected ADDRESS package.Service/Method JSON');
  const [name, called] = method.split('/');
  const credentials = grpc.credentials.createInsecure();
  const reflection = new Reflection(address, credentials, seen.CHANNEL_OPTIONS);
  const root = await reflection.fileContainingSymbol(name);
  const { resolvedRequestType: request, resolvedResponseType: response } =
    root.lookupService(name).methods[called].resolve();
  reflection.grpcClient.close();

  const client = new grpc.Client(address, credentials, seen.CHANNEL_OPTIONS);
  const answer = await new Promise((resolve, reject) => client.makeUnaryRequest(
    `/${name}/${called}`,
    (value) => Buffer.from(request.encode(request.fromObject(value)).finish()),
    (bytes) => response.toObject(response.decode(bytes), { enums: String, longs: String }),
    JSON.parse(json),
    (error, value) => (error ? reject(error) : resolve(value)),
  ));
  client.close();
  const fields = Object.fromEntries(request.fieldsArray.map((field) => [field.name, field.id]));
  return { answer, fields };
});
