// What the Node clients share: the packages, the tutorial's requests, and the JSON shapes of what came back, which
// are the Python clients' (python/seen.py), so that one set of expectations serves every client.
'use strict';

const path = require('node:path');
const { createRequire } = require('node:module');

// The packages are in the tools' cache, not beside this file; without NODE_TOOLS, wherever NODE_PATH says.
const tools = process.env.NODE_TOOLS ? createRequire(path.resolve(process.env.NODE_TOOLS, 'package.json')) : require;
const grpc = tools('@grpc/grpc-js');

const TIMEOUT_MS = 30_000;

const point = (latitude, longitude) => ({ latitude, longitude });
const KNOWN = point(409146138, -746188906);
const UNKNOWN = point(0, 0);
const RECTANGLE = { lo: point(400000000, -750000000), hi: point(420000000, -730000000) };
const FOUR_POINTS = [1, 2, 3, 4].map((degree) => point(degree * 1e7, degree * 1e7));
// The first place is visited three times and the third twice, so on a fresh server notes come back.
const NOTES = [
  { location: point(0, 0), message: 'First message' },
  { location: point(0, 1), message: 'Second message' },
  { location: point(1, 0), message: 'Third message' },
  { location: point(0, 0), message: 'Fourth message' },
  { location: point(1, 0), message: 'Fifth message' },
];

// The server's own behaviour: no retries to hide a failure, no proxy between.
const CHANNEL_OPTIONS = { 'grpc.enable_retries': 0, 'grpc.enable_http_proxy': 0 };

// Calls a method of any of the four kinds; `requests` is one message, or an array where the client streams. Resolves
// to one message, or to an array where the server streams.
function call(client, name, requests) {
  // A bound method of a client carries its own definition.
  const { requestStream, responseStream } = client[name];
  const options = { deadline: Date.now() + TIMEOUT_MS };
  return new Promise((resolve, reject) => {
    const done = (error, reply) => {
      if (error) reject(new Error(`${name}: ${grpc.status[error.code]}: ${error.details}`));
      else resolve(reply);
    };
    const first = [...(requestStream ? [] : [requests]), new grpc.Metadata(), options];
    const stream = client[name](...first, ...(responseStream ? [] : [done]));
    if (responseStream) {
      const replies = [];
      stream.on('data', (reply) => replies.push(reply));
      stream.on('error', done);
      stream.on('end', () => done(null, replies));
    }
    if (requestStream) {
      for (const request of requests) stream.write(request);
      stream.end();
    }
  });
}

// The location of a Feature or RouteNote; an unset one differs from (0, 0), as profiles differ in it.
const place = ({ location }) => ({
  has_location: location != null,
  latitude: location ? location.latitude : null,
  longitude: location ? location.longitude : null,
});
const feature = (message) => ({ name: message.name, ...place(message) });
const notes = (messages) => messages.map((message) => ({ message: message.message, ...place(message) }));

// A ListFeatures stream, by what tells one profile from another: how many, how many unnamed, in which order.
function features(messages) {
  const names = messages.map((message) => message.name);
  return { count: names.length, unnamed: names.filter((name) => name === '').length, names };
}

// Prints what `look()` saw as one JSON object, or says what failed and exits with 1.
async function report(look) {
  // Some library calls take no deadline, and a promise that is never settled would end the process as a success.
  const failed = (error) => {
    console.error(error.stack || String(error));
    process.exit(1);
  };
  const watchdog = setTimeout(() => failed(new Error('no end in sight')), 3 * TIMEOUT_MS);
  try {
    const seen = await look();
    clearTimeout(watchdog);
    console.log(JSON.stringify(seen));
  } catch (error) {
    failed(error);
  }
}

module.exports = {
  tools, grpc, CHANNEL_OPTIONS, KNOWN, UNKNOWN, RECTANGLE, FOUR_POINTS, NOTES, call, feature, features, notes, report,
};
