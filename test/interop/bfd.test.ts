// Our BFD and the bfdd of FRR: they hold sessions, agree on their intervals, and each notices what becomes of the other.
import assert from 'node:assert/strict';
import test from 'node:test';
import { milliseconds } from '#proto/model/time.ts';
import type { BfdProcess } from '#test/support/bfd-process.ts';
import { slowness, until } from '#test/support/poll.ts';
import {
  atOf,
  both,
  createWorld,
  families,
  medianGap,
  ourDetection,
  ourInterval,
  ourMultiplier,
  peerLine,
  sessions,
  sinceMidnight,
  theirs,
} from './bfd-world.ts';

test("our BFD and FRR's bfdd", async (t) => {
  const world = await createWorld(t);
  const { us, frr } = world;
  const linesSoFar = (): number => us.lines().length;
  const bothAreUp = async (skip: number): Promise<void> => {
    await world.saidBoth({ to: 'up' }, skip);
    await world.showsBoth({ status: 'up' });
  };

  await t.test('hold sessions over IPv6 and IPv4, and know the intervals of each other', async () => {
    us.command({ do: 'set', sessions: sessions() });
    await bothAreUp(0);
    await world.showsBoth({
      'receive-interval': theirs.receive,
      'transmit-interval': theirs.transmit,
      'remote-receive-interval': ourInterval,
      'remote-transmit-interval': ourInterval,
      'remote-detect-multiplier': ourMultiplier,
      diagnostic: 'ok',
    });
    for (const path of both) {
      const rtt = await until('an answer to our Poll', async () => (await us.session(path)).rtt, { within: 5000 });
      assert.ok(rtt > 0);
    }
  });

  await t.test('each sends no oftener than the other wants', async (subtest) => {
    for (const [name, from, interval] of [
      ['we', families.ipv6.ours, Math.max(ourInterval, theirs.receive)],
      ['they', families.ipv6.theirs, Math.max(theirs.transmit, ourInterval)],
    ] as const) {
      const gap = await medianGap(world, from);
      subtest.diagnostic(`${name} send every ${gap.toFixed(0)} ms; agreed on ${String(interval)} ms`);
      // 75 to 100 % (RFC 5880 section 6.8.7).
      assert.ok(gap >= interval * 0.74 && gap <= interval * 1.5, `${name}: ${String(gap)} ms`);
    }
  });

  await t.test('intervals that change are told by a Poll Sequence, without a break', async () => {
    const skip = linesSoFar();
    us.command({ do: 'set', sessions: sessions({ interval: milliseconds(150) }) });
    await world.showsBoth({ 'remote-receive-interval': 150, 'remote-transmit-interval': 150 });
    for (const family of both) {
      await frr.configure('bfd', peerLine(family), 'receive-interval 400');
    }
    await until('we send as slowly as they want now', async () => (await medianGap(world, families.ipv6.ours)) >= 296, {
      within: 20_000 * slowness,
    });
    for (const family of both) {
      await frr.configure('bfd', peerLine(family), `receive-interval ${String(theirs.receive)}`);
    }
    us.command({ do: 'set', sessions: sessions() });
    await world.showsBoth({ status: 'up', 'remote-transmit-interval': ourInterval });
    assert.deepEqual(transitions(us, skip), []);
  });

  await t.test('bfdd hangs: we say that the detection time has expired, and Up when it goes on', async (subtest) => {
    const skip = linesSoFar();
    const { pid } = frr.daemon('bfdd');
    const heard = await world.lab.host('us').capture('lan', `udp dst port 3784 and src host ${families.ipv6.theirs}`);
    await until('it is heard', () => heard.lines().length > 0, { within: 5000 * slowness });
    process.kill(pid, 'SIGSTOP');
    const [downAt = 0] = await world.saidBoth({ to: 'down', diagnostic: 'detection-time-expired' }, skip);
    const last = (await heard.stop()).at(-1) ?? '';
    process.kill(pid, 'SIGCONT');
    await bothAreUp(skip);
    const silence = sinceMidnight(downAt) - atOf(last);
    subtest.diagnostic(`Down after ${silence.toFixed(0)} ms of silence; detection time ${String(ourDetection)} ms`);
    assert.ok(silence >= ourDetection - 2 && silence < ourDetection * 3 * slowness, `${String(silence)} ms`);
  });

  await t.test('bfdd is killed and started again', async () => {
    const skip = linesSoFar();
    await frr.daemon('bfdd').stop('SIGKILL');
    await world.saidBoth({ to: 'down', diagnostic: 'detection-time-expired' }, skip);
    await frr.restart('bfdd');
    await bothAreUp(skip);
  });

  await t.test('we hang: bfdd says that the detection time has expired', async () => {
    const skip = linesSoFar();
    us.signal('SIGSTOP');
    await world.showsBoth({ status: 'down', diagnostic: 'control detection time expired' });
    us.signal('SIGCONT');
    // It hears of their Down, or finds that they were silent, whichever it sees first.
    await world.saidBoth({ to: 'down' }, skip);
    await bothAreUp(skip);
  });

  await t.test('we are killed and started again', async () => {
    await us.kill();
    await world.showsBoth({ status: 'down', diagnostic: 'control detection time expired' });
    await us.relaunch();
    us.command({ do: 'set', sessions: sessions() });
    await bothAreUp(0);
  });

  await t.test('bfdd is told to shut its sessions down: AdminDown, and back', async () => {
    const skip = linesSoFar();
    for (const family of both) await frr.configure('bfd', peerLine(family), 'shutdown');
    await world.saidBoth({ to: 'down', diagnostic: 'neighbour-down' }, skip);
    for (const path of both) assert.equal((await us.session(path)).remoteState, 'admin-down');
    for (const family of both) await frr.configure('bfd', peerLine(family), 'no shutdown');
    await bothAreUp(skip);
  });

  await t.test('we end our sessions: AdminDown, and back', async () => {
    us.command({ do: 'set', sessions: {} });
    await world.showsBoth({ status: 'down', 'remote-diagnostic': 'administratively down' });
    const skip = linesSoFar();
    us.command({ do: 'set', sessions: sessions() });
    await bothAreUp(skip);
  });

  await t.test('we wait for them to begin (passive), and they for us', async () => {
    let skip = linesSoFar();
    us.command({ do: 'set', sessions: {} });
    await world.showsBoth({ status: 'down' });
    us.command({ do: 'set', sessions: sessions({ role: 'passive' }) });
    await bothAreUp(skip);
    us.command({ do: 'set', sessions: {} });
    await world.showsBoth({ status: 'down' });
    for (const family of both) await frr.configure('bfd', peerLine(family), 'passive-mode');
    skip = linesSoFar();
    us.command({ do: 'set', sessions: sessions() });
    await bothAreUp(skip);
  });
});

function transitions(us: BfdProcess, skip: number): readonly string[] {
  return us
    .lines()
    .slice(skip)
    .filter(({ event }) => event === 'transition')
    .map(({ path, from, to, diagnostic }) => [path, from, to, diagnostic].join(' '));
}
