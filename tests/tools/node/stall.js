// A client that talks and does not listen: thousands of tiny notes, and no reply read for a while.
//
//   NODE_TOOLS=... node stall.js ADDRESS COUNT
//
// As python/stall.py: the host's handler stalls, the notes pile up in front of it, then every reply is read.
'use strict';

const path = require('node:path');
const seen = require('./seen.js');

const STALL_MS = 2_000;

seen.report(async () => {
  const [address, count] = [process.argv[2], Number(process.argv[3])];
  const definition = seen.tools('@grpc/proto-loader').loadSync('routeguide/route_guide.proto', {
    includeDirs: [path.resolve(__dirname, '../../../proto')],
  });
  const { routeguide } = seen.grpc.loadPackageDefinition(definition);
  const client = new routeguide.RouteGuide(address, seen.grpc.credentials.createInsecure(), seen.CHANNEL_OPTIONS);
  const chat = client.RouteChat();
  const ended = new Promise((resolve, reject) => chat.on('error', reject).on('end', resolve));
  ended.catch(() => {}); // told below, whenever it came
  chat.pause();
  for (let number = 0; number < count; number += 1) chat.write({ location: { latitude: number % 1000, longitude: 1 } });
  chat.end();
  await new Promise((resolve) => setTimeout(resolve, STALL_MS));
  await seen.call(client, 'GetFeature', { latitude: 1 });
  let replies = 0;
  chat.on('data', () => { replies += 1; });
  chat.resume();
  await ended;
  client.close();
  return { replies };
});
