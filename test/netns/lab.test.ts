import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import test from 'node:test';
import { createLab, type Lab } from '#test/support/lab/lab.ts';
import type { LabPlan, NatKind } from '#test/support/lab/plan.ts';
import { until } from '#test/support/poll.ts';

function twoSites(kind: NatKind): LabPlan {
  return {
    hosts: {
      server: { attach: { internet: '198.51.100.2' } },
      a: { attach: { 'lan-a': '192.168.11.2/24' }, gateway: '192.168.11.1' },
      a2: { attach: { 'lan-a': '192.168.11.3/24' }, gateway: '192.168.11.1' },
      b: { attach: { 'lan-b': '192.168.12.2/24' }, gateway: '192.168.12.1' },
    },
    nats: {
      'nat-a': {
        kind,
        attach: { internet: '203.0.113.11', 'lan-a': '192.168.11.1/24' },
      },
      'nat-b': {
        kind,
        attach: { internet: '203.0.113.12', 'lan-b': '192.168.12.1/24' },
      },
    },
  };
}

async function withLab(plan: LabPlan, body: (lab: Lab) => Promise<void>): Promise<void> {
  const lab = await createLab(plan);
  try {
    await body(lab);
  } finally {
    await lab.dispose();
  }
}

/** Sends a UDP packet from each of two hosts' port 5000 to the public address and port 5000 of the other's NAT. */
async function punch(lab: Lab, first: 'a' | 'b'): Promise<{ a: string[]; b: string[] }> {
  const a = await lab.host('a').capture('lan-a', 'udp', 'in');
  const b = await lab.host('b').capture('lan-b', 'udp', 'in');
  const outside = { a: '203.0.113.11', b: '203.0.113.12' };
  const send = async (from: 'a' | 'b', to: 'a' | 'b', after: number): Promise<void> => {
    const script = `const s=require('dgram').createSocket('udp4');s.bind(5000,()=>setTimeout(()=>s.send('x',5000,'${outside[to]}',()=>s.close()),${String(after)}))`;
    await lab.host(from).run([process.execPath, '-e', script]);
  };
  const second = first === 'a' ? 'b' : 'a';
  await send(first, second, 0);
  await send(second, first, 0);
  await send(first, second, 0);
  await lab.host('a').ping({ to: '198.51.100.2', count: 1 });
  return { a: await a.stop(), b: await b.stop() };
}

test('hosts reach the internet through their NAT and each other in their LAN', async () => {
  await withLab(twoSites('restricted'), async (lab) => {
    const seen = await lab.host('server').capture('internet', 'icmp');
    assert.deepEqual((await lab.host('a').ping({ to: '198.51.100.2', count: 3 })).lost, []);
    assert.deepEqual((await lab.host('a').ping({ to: '192.168.11.3', count: 3 })).lost, []);
    assert.match((await seen.stop()).join('\n'), /203\.0\.113\.11 > 198\.51\.100\.2: ICMP echo request/);
    assert.deepEqual((await lab.host('server').ping({ to: '192.168.11.2', count: 1 })).lost, [1], 'no way in');
  });
});

test('a restricted NAT drops what comes unasked and lets in what was punched', async () => {
  await withLab(twoSites('restricted'), async (lab) => {
    const got = await punch(lab, 'a');
    assert.equal(got.b.length, 1, 'b gets only what a sent after b had sent');
    assert.equal(got.a.length, 1);
    assert.match(got.a.join(), /203\.0\.113\.12\.5000 > 192\.168\.11\.2\.5000/);
  });
});

test('a lax NAT gives another port to who punches late', async () => {
  await withLab(twoSites('lax'), async (lab) => {
    const outside = await lab.host('nat-b').capture('internet', 'udp and src 203.0.113.12', 'out');
    assert.deepEqual(await punch(lab, 'a'), { a: [], b: [] });
    assert.match((await outside.stop()).join(), /203\.0\.113\.12\.(?!5000 )\d+ > 203\.0\.113\.11\.5000/);
  });
});

test('a symmetric NAT cannot be punched', async () => {
  await withLab(twoSites('symmetric'), async (lab) => {
    const got = await punch(lab, 'a');
    assert.deepEqual([got.a, got.b], [[], []]);
  });
});

test('a plain router hides nothing', async () => {
  await withLab(twoSites('none'), async (lab) => {
    assert.deepEqual((await lab.host('server').ping({ to: '192.168.11.2', count: 2 })).lost, []);
    assert.deepEqual((await lab.host('a').ping({ to: '192.168.12.2', count: 2 })).lost, []);
  });
});

test('a cut is silent, bites both ways and only between its two ends', async () => {
  await withLab(twoSites('none'), async (lab) => {
    await lab.cut('nat-a', 'server');
    assert.deepEqual((await lab.host('nat-a').ping({ to: '198.51.100.2', count: 2, rate: 50 })).lost, [1, 2]);
    assert.equal(await lab.dropped(), 2);
    assert.deepEqual((await lab.host('nat-a').ping({ to: '203.0.113.12', count: 2 })).lost, []);
    await lab.heal('nat-a', 'server');
    assert.deepEqual((await lab.host('nat-a').ping({ to: '198.51.100.2', count: 2 })).lost, []);
  });
});

test('ping tells which packets were lost and when', async () => {
  await withLab(twoSites('restricted'), async (lab) => {
    const ping = lab.host('a').startPing({ to: '198.51.100.2', rate: 500 });
    const beyond = async (sequence: number): Promise<void> => {
      await until(`reply ${String(sequence)}`, () => ping.replies().some((reply) => reply.sequence > sequence), {
        within: 10_000,
      });
    };
    await beyond(100);
    await lab.cut('nat-a', 'server');
    await new Promise((resolve) => setTimeout(resolve, 300));
    await lab.heal('nat-a', 'server');
    const healed = ping.replies().at(-1)?.sequence ?? 0;
    await beyond(healed + 200);
    const result = await ping.finish();
    const [first = 0] = result.lost;
    assert.ok(result.lost.length >= 100 && result.lost.length <= 250, `lost ${String(result.lost.length)}`);
    assert.deepEqual(
      result.lost,
      result.lost.map((_, index) => first + index),
      'one hole',
    );
    assert.ok(result.longestGapMs >= 300 && result.longestGapMs < 600, `gap ${String(result.longestGapMs)} ms`);
    assert.equal(result.sent, result.replies.length + result.lost.length);
  });
});

test('loss drops about the part asked for', async () => {
  await withLab(twoSites('restricted'), async (lab) => {
    await lab.lose('nat-a', 20);
    const result = await lab.host('a').ping({ to: '198.51.100.2', rate: 1000, count: 500 });
    assert.ok(result.lost.length > 100 && result.lost.length < 260, `lost ${String(result.lost.length)} of 500`); // 36 % both ways
  });
});

test('counters count what is forwarded', async () => {
  await withLab(twoSites('restricted'), async (lab) => {
    const counter = await lab.host('nat-a').count('forward', 'iifname "lan-a" oifname "internet"');
    const other = await lab.host('nat-a').count('forward', 'iifname "lan-b"');
    await lab.host('a').ping({ to: '198.51.100.2', count: 3 });
    assert.deepEqual([(await counter.read()).packets, (await other.read()).packets], [3, 0]);
  });
});

test('a link that goes down and comes back', async () => {
  await withLab(twoSites('restricted'), async (lab) => {
    await lab.host('a').link('lan-a', 'down');
    assert.notEqual((await lab.host('a').runAny(['ping', '-c', '1', '-W', '1', '192.168.11.3'])).code, 0);
    await lab.host('a').link('lan-a', 'up');
    assert.deepEqual((await lab.host('a').ping({ to: '192.168.11.3', count: 1 })).lost, []);
  });
});

test('nothing is left behind, even by a process that was killed', async () => {
  const script = `
    import { createLab } from '#test/support/lab/lab.ts';
    const lab = await createLab({ hosts: { one: { attach: { internet: '198.51.100.2' } } } });
    const sleeper = lab.host('one').spawn(['sleep', '1000']);
    console.log(lab.host('one').namespace, sleeper.pid);
    await new Promise((resolve) => setTimeout(resolve, 100000));`;
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  await until('the other process has a lab', () => output.includes('\n'), {
    within: 30_000,
  });
  const [namespace = '', pid = ''] = output.trim().split(' ');
  assert.ok(existsSync(`/run/netns/${namespace}`));
  child.kill('SIGKILL');
  await until('its programs die with it', () => !existsSync(`/proc/${pid}`), {
    within: 5_000,
  });
  const lab = await createLab({ hosts: {} });
  assert.ok(!existsSync(`/run/netns/${namespace}`), 'the next lab removes what the dead process left');
  const own = lab.host('core').namespace;
  const program = lab.host('core').spawn(['sleep', '1000']);
  await lab.dispose();
  assert.ok(!existsSync(`/run/netns/${own}`));
  assert.ok(!program.isRunning());
});
