// How the registry takes connections, work and silence when there is much of them.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import test from 'node:test';
import { Connections } from '#registry/serve/connections.ts';
import { Liveness, type Watched } from '#registry/serve/liveness.ts';
import { Portions } from '#registry/serve/portions.ts';
import { until } from '#test/support/poll.ts';

const within = 20_000;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('connections are let in a few a turn, and it is known how much each has said', async (t) => {
  const inside: Socket[] = [];
  let thisTurn = 0;
  const connections = new Connections((socket) => {
    if (thisTurn++ === 0) setImmediate(() => (thisTurn = 0));
    assert.ok(thisTurn <= 4, String(thisTurn));
    inside.push(socket);
    socket.resume();
  });
  const port = await connections.listen({ host: '127.0.0.1', port: 0 });
  const clients = Array.from({ length: 40 }, () => connect(port, '127.0.0.1'));
  t.after(() => {
    for (const socket of [...clients, ...inside]) socket.destroy();
    connections.close();
  });
  await Promise.all(clients.map((client) => once(client, 'connect')));
  await until('all are in', () => inside.length === clients.length, { within });
  const [client] = clients;
  assert.ok(client);
  const peer = `127.0.0.1:${String(client.localPort)}`;
  assert.equal(connections.heard(peer), 0);
  client.write('12345');
  await until('it was heard', () => connections.heard(peer) === 5, { within });
  connections.drop(peer);
  await once(client, 'close');
  await until('it is gone', () => connections.heard(peer) === undefined, { within });
});

test('work beyond the time of a turn waits for the next one, in order', async () => {
  let now = 0;
  const portions = new Portions(() => now);
  const done: number[] = [];
  const all = Array.from({ length: 25 }, (_, index) => index);
  // Each takes a quarter of what a turn may.
  for (const index of all)
    portions.run(() => {
      done.push(index);
      now += 2.5;
    });
  assert.deepEqual(done, [0, 1, 2, 3]);
  await turn();
  assert.deepEqual(done, [0, 1, 2, 3, 4, 5, 6, 7]);
  portions.run(() => done.push(25));
  assert.equal(done.length, 8, 'what comes later waits, too');
  for (let more = 0; more < all.length; more++) await turn();
  assert.deepEqual(done, [...all, 25]);
  await turn();
  portions.run(() => done.push(26));
  assert.equal(done.at(-1), 26, 'and at once when nothing waits any more');
});

test('who is silent is asked, and given up without an answer; what arrived while the registry was busy counts', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  let now = 0;
  const liveness = new Liveness(() => now);
  const said: string[] = [];
  const node = (name: string): Watched & { octets: number | undefined } => ({
    octets: 1,
    heard() {
      return this.octets;
    },
    ask: () => said.push(`ask ${name}`),
    giveUp: () => said.push(`give up ${name}`),
  });
  const [talking, dead, slow, gone] = [node('talking'), node('dead'), node('slow'), node('gone')];
  for (const one of [talking, dead, slow, gone]) liveness.watch(one);
  const seconds = async (count: number): Promise<void> => {
    for (let second = 0; second < count; second++) {
      now += 1000;
      talking.octets = (talking.octets ?? 0) + 1;
      t.mock.timers.tick(1000);
      await turn();
    }
  };
  await seconds(3);
  assert.deepEqual(said, []);
  liveness.unwatch(gone);
  await seconds(1);
  assert.deepEqual(said, ['ask dead', 'ask slow']);
  // The registry does nothing for a minute; then its timers come first.
  now += 60_000;
  t.mock.timers.tick(1000);
  for (const one of [talking, slow]) one.octets = 100;
  await turn();
  assert.deepEqual(said.slice(2), ['give up dead']);
  await seconds(3);
  assert.deepEqual(said.slice(3), [], 'who was heard has all its time again');
});
