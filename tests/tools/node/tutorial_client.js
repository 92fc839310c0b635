// The official tutorial's Node client in our own words, for a test to compare with what a profile promises.
//
//   NODE_TOOLS=... node tutorial_client.js ADDRESS [--proto-dir DIR] [--profile NAME] [--route FILE.json] [--unset]
//
// It loads the .proto at run time, as the tutorial does, and prints one JSON object of everything it saw.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { parseArgs } = require('node:util');
const seen = require('./seen.js');

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    'proto-dir': { type: 'string', default: path.resolve(__dirname, '../../../proto') },
    profile: { type: 'string' }, // only repeated in the output, to tell reports apart
    route: { type: 'string' }, // a database file whose points are travelled in order
    unset: { type: 'boolean' }, // also send messages whose points are unset
  },
});

function connect(address) {
  // The tutorial's options; with `defaults` an unset message reads as null.
  const definition = seen.tools('@grpc/proto-loader').loadSync('routeguide/route_guide.proto', {
    keepCase: true, longs: String, enums: String, defaults: true, oneofs: true, includeDirs: [options['proto-dir']],
  });
  const { routeguide } = seen.grpc.loadPackageDefinition(definition);
  return new routeguide.RouteGuide(address, seen.grpc.credentials.createInsecure(), seen.CHANNEL_OPTIONS);
}

// The four parts of the tutorial, in its order.
async function tutorial(call) {
  return {
    get_feature: seen.feature(await call('GetFeature', seen.KNOWN)),
    unknown: seen.feature(await call('GetFeature', seen.UNKNOWN)),
    list: seen.features(await call('ListFeatures', seen.RECTANGLE)),
    four_points: await call('RecordRoute', seen.FOUR_POINTS),
    chat: seen.notes(await call('RouteChat', seen.NOTES)),
  };
}

// Messages without their points, which crash some of the tutorial's servers and must be (0, 0) for ours.
async function unset(call) {
  const notes = [{ message: 'Nowhere' }, { location: {}, message: 'Zero' }, { message: 'Nowhere again' }];
  return {
    get_feature: seen.feature(await call('GetFeature', {})),
    list: seen.features(await call('ListFeatures', {})),
    route: await call('RecordRoute', [{}, seen.FOUR_POINTS[0]]),
    chat: seen.notes(await call('RouteChat', notes)),
  };
}

seen.report(async () => {
  if (positionals.length !== 1) throw new Error('expected one ADDRESS');
  const client = connect(positionals[0]);
  const call = (name, requests) => seen.call(client, name, requests);
  const found = { profile: options.profile ?? null, ...(await tutorial(call)) };
  if (options.route) {
    const places = JSON.parse(fs.readFileSync(options.route, 'utf8')).map((entry) => entry.location);
    found.route = await call('RecordRoute', places);
  }
  if (options.unset) found.unset = await unset(call);
  client.close();
  return found;
});
