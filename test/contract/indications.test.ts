// Traffic noticed through nftables and tcpdump in a namespace.
import assert from 'node:assert/strict';
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { createCapture } from '#agent/io/capture.ts';
import { runIndications } from '#agent/observe/indications.ts';
import type { LoggedPacket } from '#agent/observe/pcap.ts';
import { createLogger } from '#proto/kit/log.ts';
import { run, start } from '#test/support/lab/process.ts';
import { until } from '#test/support/poll.ts';

const group = 7;
let count = 0;

interface Noticed extends LoggedPacket {
  readonly at: number;
}

interface Lab {
  readonly inside: readonly string[];
  readonly noticed: Noticed[];
  readonly warnings: string[];
  ready: number;
  /** Begins to notice. */
  begin(prefix?: readonly string[]): void;
  /** Ends it, and waits until it has ended. */
  end(): Promise<void>;
  tcpdumps(): Promise<string[]>;
}

async function lab(t: TestContext): Promise<Lab> {
  const namespace = `ind-${String(process.pid)}-${String(++count)}`;
  const inside = ['ip', 'netns', 'exec', namespace];
  const stop = new AbortController();
  let ended: Promise<void> = Promise.resolve();
  t.after(async () => {
    await world.end();
    await run(['ip', 'netns', 'del', namespace]);
  });
  await run(['ip', 'netns', 'add', namespace]);
  await run(['ip', '-n', namespace, 'link', 'set', 'lo', 'up']);
  const rules = [
    'table inet notice {',
    ' set seen4 { type ipv4_addr . ipv4_addr; flags dynamic,timeout; timeout 1m; }',
    ' chain out { type filter hook output priority 0;',
    '  ip saddr . ip daddr @seen4 accept',
    `  add @seen4 { ip saddr . ip daddr } log group ${String(group)} snaplen 64 queue-threshold 1 accept`,
    `  icmpv6 type echo-request log group ${String(group)} snaplen 64 queue-threshold 1`,
    ' }',
    '}',
  ];
  await run([...inside, 'nft', '-f', '-'], { input: `${rules.join('\n')}\n` });
  const warnings: string[] = [];
  const logger = createLogger('test', 'silent');
  logger.warn = (fields: unknown) => {
    warnings.push(JSON.stringify(fields));
  };
  const world: Lab = {
    inside,
    noticed: [],
    warnings,
    ready: 0,
    begin: (prefix = inside) => {
      ended = runIndications(
        {
          group,
          logger,
          capture: createCapture(prefix),
          random: Math.random,
          onIndication: (packet) => {
            world.noticed.push({ ...packet, at: performance.now() });
          },
          onReady: () => {
            world.ready++;
          },
        },
        stop.signal,
      );
    },
    end: async () => {
      stop.abort();
      await ended;
    },
    tcpdumps: async () => (await run(['ip', 'netns', 'pids', namespace])).split('\n').filter((pid) => pid !== ''),
  };
  return world;
}

/** A program in the namespace that sends one UDP packet a line of its input, and says when. */
function sender(t: TestContext, inside: readonly string[]): (address: string) => Promise<number> {
  const code = `const s=require('dgram').createSocket('udp4');
    require('readline').createInterface({input:process.stdin}).on('line',(to)=>{
      const at=performance.timeOrigin+performance.now();s.send('x',9,to,()=>console.log(at));})`;
  const program = start([...inside, process.execPath, '-e', code]);
  t.after(async () => {
    await program.stop('SIGKILL');
  });
  return async (address) => {
    const before = program.stdout().split('\n').length;
    program.child.stdin?.write(`${address}\n`);
    // Complete lines only: the last piece is what follows the last line break.
    const line = await until('a packet is sent', () => program.stdout().split('\n').slice(0, -1)[before - 1], {
      within: 5000,
      every: 1,
    });
    return Number(line);
  };
}

test('the first packet of a pair is noticed at once, IPv4 and IPv6, and no process is left', async (t) => {
  const world = await lab(t);
  world.begin();
  await until('the group is bound', () => world.ready === 1, { within: 5000, every: 5 });
  const send = sender(t, world.inside);
  const spans: number[] = [];
  for (let last = 1; last <= 10; last++) {
    const address = `127.0.1.${String(last)}`;
    const sentAt = await send(address);
    const found = await until('the packet is noticed', () => world.noticed.find((p) => p.destination === address), {
      within: 2000,
      every: 1,
    });
    spans.push(performance.timeOrigin + found.at - sentAt);
    assert.equal(found.head[0], 0x45);
  }
  const median = spans.sort((a, b) => a - b)[5] ?? Infinity;
  t.diagnostic(`packet to indication: median ${median.toFixed(1)} ms, most ${(spans.at(-1) ?? 0).toFixed(1)} ms`);
  assert.ok(median < 50, `${String(median)} ms`);
  await run([...world.inside, 'ping', '-c', '1', '::1']);
  await until('IPv6', () => world.noticed.some((p) => p.source === '::1' && p.destination === '::1'), {
    within: 2000,
    every: 1,
  });
  await send('127.0.1.1');
  await send('127.0.1.99');
  await until('the next pair', () => world.noticed.some((p) => p.destination === '127.0.1.99'), {
    within: 2000,
    every: 1,
  });
  const again = world.noticed.filter((p) => p.destination === '127.0.1.1');
  assert.equal(again.length, 1, 'a known pair is not noticed again');
  assert.equal((await world.tcpdumps()).length, 2);
  await world.end();
  assert.equal((await world.tcpdumps()).length, 1, 'only the sender is left');
});

test('a tcpdump that is killed is started again', async (t) => {
  const world = await lab(t);
  world.begin();
  await until('the group is bound', () => world.ready === 1, { within: 5000, every: 5 });
  const [pid] = await world.tcpdumps();
  process.kill(Number(pid), 'SIGKILL');
  const from = performance.now();
  await until('the group is bound again', () => world.ready === 2, { within: 5000, every: 5 });
  t.diagnostic(`bound again after ${(performance.now() - from).toFixed(0)} ms`);
  await run([...world.inside, 'ping', '-c', '1', '127.0.2.1']);
  await until('it works', () => world.noticed.some((p) => p.destination === '127.0.2.1'), { within: 2000, every: 5 });
});

test('a group that another still has is taken as soon as it is free', async (t) => {
  const world = await lab(t);
  const other = start([...world.inside, 'tcpdump', '-Z', 'root', '-i', `nflog:${String(group)}`, '-w', '/dev/null']);
  await until('the other has the group', () => other.stderr().includes('listening on'), { within: 5000, every: 5 });
  world.begin();
  await until('it is refused', () => world.warnings.length > 0, { within: 5000, every: 5 });
  assert.match(world.warnings[0] ?? '', /listen on group/);
  await other.stop('SIGKILL');
  const from = performance.now();
  await until('the group is bound', () => world.ready === 1, { within: 5000, every: 5 });
  t.diagnostic(`bound ${(performance.now() - from).toFixed(0)} ms after it was free`);
  assert.equal(world.warnings.length, 1, 'the same reason is not repeated');
});

test('a missing tcpdump is named, with its package', async (t) => {
  const world = await lab(t);
  const folder = await mkdtemp(join(tmpdir(), 'only-setpriv-'));
  t.after(async () => {
    await rm(folder, { recursive: true });
  });
  await symlink((await run(['which', 'setpriv'])).trim(), join(folder, 'setpriv'));
  world.begin([...world.inside, 'env', `PATH=${folder}`]);
  await until('a warning', () => world.warnings.length > 0, { within: 5000, every: 5 });
  assert.match(world.warnings[0] ?? '', /install the Debian package tcpdump/);
});
