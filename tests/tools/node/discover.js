// Finds a host's services and calls RouteGuide knowing nothing but the address: reflection, then dynamic messages.
//
//   NODE_TOOLS=... node discover.js ADDRESS
//
// Prints one JSON object of everything it saw.
'use strict';

const seen = require('./seen.js');
const { grpc } = seen;
const { Client: Reflection } = seen.tools('grpc-reflection-js');

const SERVICE = 'routeguide.RouteGuide';
const NOBODY = 'no.such.Service';

const kind = (method) => [method.requestStream, method.responseStream].map((s) => (s ? 'stream' : 'unary')).join('_');

// What grpc-js wants to know of a service, from protobufjs's description of it.
function definition(service) {
  const methods = service.methodsArray.map((method) => {
    const { resolvedRequestType: request, resolvedResponseType: response } = method.resolve();
    return [method.name, {
      path: `/${service.fullName.slice(1)}/${method.name}`, // fullName begins with a dot
      requestStream: Boolean(method.requestStream),
      responseStream: Boolean(method.responseStream),
      requestSerialize: (value) => Buffer.from(request.encode(request.fromObject(value)).finish()),
      requestDeserialize: (bytes) => request.decode(bytes),
      responseSerialize: (value) => Buffer.from(response.encode(value).finish()),
      responseDeserialize: (bytes) => response.toObject(response.decode(bytes), { defaults: true }),
    }];
  });
  return Object.fromEntries(methods);
}

// One call of each of the four kinds.
async function routeGuide(call) {
  return {
    get_feature: seen.feature(await call('GetFeature', seen.KNOWN)),
    list: seen.features(await call('ListFeatures', seen.RECTANGLE)),
    four_points: await call('RecordRoute', seen.FOUR_POINTS),
    chat: seen.notes(await call('RouteChat', seen.NOTES)),
  };
}

seen.report(async () => {
  const address = process.argv[2];
  if (!address) throw new Error('expected one ADDRESS');
  const credentials = grpc.credentials.createInsecure();
  const reflection = new Reflection(address, credentials, seen.CHANNEL_OPTIONS);

  const services = await reflection.listServices();
  const described = {};
  for (const name of services) described[name] = (await reflection.fileContainingSymbol(name)).lookupService(name);
  const methods = Object.entries(described).map(([name, service]) =>
    [name, Object.fromEntries(service.methodsArray.map((method) => [method.name, kind(method)]))]);
  // The library turns an in-band NOT_FOUND into an error without words.
  const knowsNobody = await reflection.fileContainingSymbol(NOBODY).then(() => true, () => false);
  reflection.grpcClient.close();

  const root = described[SERVICE];
  if (!root) throw new Error(`${SERVICE} is not among ${services}`);
  const Client = grpc.makeGenericClientConstructor(definition(root), SERVICE);
  const client = new Client(address, credentials, seen.CHANNEL_OPTIONS);
  const found = await routeGuide((name, requests) => seen.call(client, name, requests));
  client.close();
  return { services, methods: Object.fromEntries(methods), knows_nobody: knowsNobody, ...found };
});
