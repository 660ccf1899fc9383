// Two BFD shells in two namespaces, joined by a veth pair.
import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import type { BfdSessionConfig } from '#agent/io/bfd-port.ts';
import { type Address, parseAddress } from '#proto/model/address.ts';
import { must } from '#proto/model/result.ts';
import { milliseconds } from '#proto/model/time.ts';
import { BfdProcess } from '#test/support/bfd-process.ts';
import { run } from '#test/support/lab/process.ts';
import { until } from '#test/support/poll.ts';

const addressA = must(parseAddress('fd00:109::a'));
const addressB = must(parseAddress('fd00:109::b'));
let count = 0;

interface Lab {
  readonly a: BfdProcess;
  readonly b: BfdProcess;
  ip(end: 'a' | 'b', command: string): Promise<string>;
  nft(end: 'a' | 'b', command: string): Promise<string>;
}

async function lab(t: TestContext): Promise<Lab> {
  const id = `${String(process.pid)}-${String(++count)}`;
  const names = { a: `bfd-a-${id}`, b: `bfd-b-${id}` };
  const peers: BfdProcess[] = [];
  t.after(async () => {
    for (const peer of peers) await peer.kill();
    for (const name of Object.values(names)) await run(['ip', 'netns', 'del', name]).catch(() => undefined);
  });
  for (const name of Object.values(names)) await run(['ip', 'netns', 'add', name]);
  await run(['ip', 'link', 'add', 'v0', 'netns', names.a, 'type', 'veth', 'peer', 'name', 'v0', 'netns', names.b]);
  const ip = (end: 'a' | 'b', command: string): Promise<string> => run(['ip', '-n', names[end], ...command.split(' ')]);
  const nft = (end: 'a' | 'b', command: string): Promise<string> =>
    run(['ip', 'netns', 'exec', names[end], 'nft', command]);
  for (const [end, own, other] of [
    ['a', addressA, addressB],
    ['b', addressB, addressA],
  ] as const) {
    await ip(end, `addr add ${own}/128 dev v0 nodad`);
    await ip(end, 'link set v0 up');
    await ip(end, `route add ${other}/128 dev v0 src ${own}`);
    await nft(end, 'add table inet cut');
    await nft(end, 'add chain inet cut in { type filter hook input priority 0; }');
  }
  const a = new BfdProcess(names.a);
  const b = new BfdProcess(names.b);
  peers.push(a, b);
  await Promise.all([a.line({ event: 'ready' }), b.line({ event: 'ready' })]);
  return { a, b, ip, nft };
}

function config(own: Address, other: Address, change: Partial<BfdSessionConfig> = {}): BfdSessionConfig {
  return { local: own, remote: other, interval: milliseconds(100), multiplier: 3, role: 'active', ...change };
}

const toB = { do: 'set', sessions: { ab: config(addressA, addressB) } } as const;
const toA = { do: 'set', sessions: { ba: config(addressB, addressA) } } as const;

async function bothUp({ a, b }: Lab): Promise<number> {
  a.command(toB);
  await a.line({ event: 'set' });
  b.command(toA);
  const started = await b.line({ event: 'set' });
  const up = await Promise.all([a.line({ to: 'up' }), b.line({ to: 'up' })]);
  return Math.max(...up.map(({ at }) => at)) - started.at;
}

test('both are Up in milliseconds after the second has started, and measure the round trip', async (t) => {
  const world = await lab(t);
  const span = await bothUp(world);
  t.diagnostic(`Up ${String(span)} ms after both were started`);
  assert.ok(span < 250, `${String(span)} ms`);
  for (const [peer, path] of [
    [world.a, 'ab'],
    [world.b, 'ba'],
  ] as const) {
    const rtt = await until('a round trip', async () => (await peer.session(path)).rtt, { within: 3000 });
    assert.ok(rtt > 0 && rtt < 100, `${String(rtt)} ms`);
  }
});

test('a cut takes both Down within the detection time, and healing takes them Up', async (t) => {
  const world = await lab(t);
  await bothUp(world);
  const skip = { a: world.a.lines().length, b: world.b.lines().length };
  const cutAt = Date.now();
  await world.nft('a', 'add rule inet cut in udp dport 3784 drop');
  const down = await Promise.all([world.a.line({ to: 'down' }, skip.a), world.b.line({ to: 'down' }, skip.b)]);
  t.diagnostic(`Down ${down.map(({ at }) => String(at - cutAt)).join(' and ')} ms after the cut`);
  assert.deepEqual(
    down.map(({ diagnostic }) => diagnostic),
    ['detection-time-expired', 'neighbour-down'],
  );
  assert.ok(Math.max(...down.map(({ at }) => at)) - cutAt < 800);
  await world.nft('a', 'flush chain inet cut in');
  await Promise.all([world.a.line({ to: 'up' }, skip.a), world.b.line({ to: 'up' }, skip.b)]);
});

test('link down, address gone and back: errors are counted and nothing ends', async (t) => {
  const world = await lab(t);
  await bothUp(world);
  const skip = { a: world.a.lines().length, b: world.b.lines().length };
  await world.ip('a', 'link set v0 down');
  await world.a.line({ to: 'down' }, skip.a);
  await world.ip('a', 'link set v0 up');
  await until('an error is counted', async () => (await world.a.session('ab')).sendErrors > 0, { within: 5000 });
  await world.ip('a', `addr replace ${addressA}/128 dev v0 nodad`);
  await world.ip('a', `route replace ${addressB}/128 dev v0 src ${addressA}`);
  await Promise.all([world.a.line({ to: 'up' }, skip.a), world.b.line({ to: 'up' }, skip.b)]);
});

test('an address that comes later is bound when it is there, and the session starts then', async (t) => {
  const world = await lab(t);
  const late = must(parseAddress('fd00:109::c'));
  world.a.command({ do: 'set', sessions: { late: config(late, addressB) } });
  world.b.command({ do: 'set', sessions: { late: config(addressB, late) } });
  await world.ip('b', `route add ${late}/128 dev v0 src ${addressB}`);
  await world.a.line({ event: 'set' });
  assert.equal((await world.a.session('late')).state, 'down');
  const from = Date.now();
  await world.ip('a', `addr add ${late}/128 dev v0 nodad`);
  const up = await world.a.line({ to: 'up' });
  t.diagnostic(`Up ${String(up.at - from)} ms after the address came`);
  assert.ok(up.at - from < 1000);
});

test('an end that was killed and started again is Up again, with a new discriminator', async (t) => {
  const world = await lab(t);
  await bothUp(world);
  const skip = world.a.lines().length;
  await world.b.relaunch();
  world.b.command(toA);
  await world.a.line({ to: 'down' }, skip);
  await world.a.line({ to: 'up' }, skip);
  await world.b.line({ to: 'up' });
});

test('a session that is no longer wanted tells the other end; so does close', async (t) => {
  const world = await lab(t);
  await bothUp(world);
  let skip = world.a.lines().length;
  world.b.command({ do: 'set', sessions: {} });
  assert.equal((await world.a.line({ to: 'down' }, skip)).diagnostic, 'neighbour-down');
  assert.equal((await world.a.session('ab')).remoteState, 'admin-down');
  world.b.command(toA);
  skip = world.a.lines().length;
  await world.a.line({ to: 'up' }, skip - 1);
  skip = world.a.lines().length;
  world.b.command({ do: 'close' });
  await world.a.line({ to: 'down' }, skip);
});

test('a busy process does not take a peer for lost whose packets wait in its socket', async (t) => {
  const world = await lab(t);
  world.a.command({
    do: 'set',
    sessions: { ab: config(addressA, addressB, { interval: milliseconds(300), multiplier: 30 }) },
  });
  world.b.command(toA);
  await Promise.all([world.a.line({ to: 'up' }), world.b.line({ to: 'up' })]);
  const skip = world.a.lines().length;
  world.a.command({ do: 'stall' });
  await world.a.show();
  assert.deepEqual(
    world.a
      .lines()
      .slice(skip)
      .filter(({ event }) => event === 'transition'),
    [],
  );
});

test('restart begins again and comes Up; other parameters are taken without a break', async (t) => {
  const world = await lab(t);
  await bothUp(world);
  let skip = { a: world.a.lines().length, b: world.b.lines().length };
  world.a.command({ do: 'restart', path: 'ab' });
  await Promise.all([world.a.line({ to: 'up' }, skip.a), world.b.line({ to: 'up' }, skip.b)]);
  skip = { a: world.a.lines().length, b: world.b.lines().length };
  world.a.command({ do: 'set', sessions: { ab: config(addressA, addressB, { interval: milliseconds(300) }) } });
  await until('a new round trip', async () => (await world.a.session('ab')).rtt !== undefined, { within: 5000 });
  assert.equal((await world.a.session('ab')).state, 'up');
});

test('packets have hop limit 255, an ephemeral source port, and port 3784; others are not listened to', async (t) => {
  const world = await lab(t);
  await world.nft('b', 'add chain inet cut count { type filter hook input priority -10; }');
  await world.nft('b', 'add rule inet cut count udp dport 3784 ip6 hoplimit 255 udp sport 49152-65535 counter accept');
  await world.nft('b', 'add rule inet cut count udp dport 3784 counter drop');
  await bothUp(world);
  const rules = await world.nft('b', 'list chain inet cut count');
  assert.match(rules, /hoplimit 255 .*packets [1-9]/);
  assert.match(rules, /dport 3784 counter packets 0 /);
  const skip = world.a.lines().length;
  await world.ip('b', 'addr add fd00:109::bad/128 dev v0 nodad');
  await world.ip('a', 'route add fd00:109::bad/128 dev v0');
  await world.ip('b', `route add ${addressA}/128 dev v0 src fd00:109::bad metric 1`);
  // A Down packet from another address, as a stranger would send it.
  const stranger = '20400318ffffff0000000000000f4240000493e000000000';
  world.b.command({ do: 'show' });
  await run([
    ...['ip', 'netns', 'exec', world.b.namespace, process.execPath, '-e'],
    `const s=require('dgram').createSocket('udp6');s.bind(50000,'fd00:109::bad',()=>s.send(Buffer.from('${stranger}','hex'),3784,'${addressA}',()=>s.close()))`,
  ]);
  await world.a.show();
  assert.deepEqual(
    world.a
      .lines()
      .slice(skip)
      .filter(({ event }) => event === 'transition'),
    [],
  );
});
