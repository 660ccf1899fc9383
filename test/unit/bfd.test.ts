import assert from 'node:assert/strict';
import test from 'node:test';
import { bfdReceive, bfdStart, bfdTick } from '#agent/decide/bfd.ts';
import { leastTrip, lossOf } from '#agent/decide/bfd-measure.ts';
import { type BfdPacket, encodeBfdPacket } from '#agent/decide/bfd-packet.ts';
import type { Instant } from '#proto/model/time.ts';
import { BfdLink, bfdParameters, type End } from '#test/support/bfd-link.ts';

/** Without jitter, so that the stories have round numbers. */
const full = 1 - Number.EPSILON;

function pair(delay = 10): BfdLink {
  return new BfdLink({ delay, random: () => full });
}

function story(link: BfdLink): string[] {
  return link.story.splice(0);
}

/** Random numbers that are the same each time. */
function mulberry(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function gaps(link: BfdLink, by: End, from: number): number[] {
  const times = link.sent.filter((sent) => sent.by === by && sent.at >= from && !sent.packet.final).map(({ at }) => at);
  return times.slice(1).map((at, index) => Math.round(at - (times[index] ?? 0)));
}

function packet(change: Partial<BfdPacket>): BfdPacket {
  return {
    diagnostic: 0,
    state: 'down',
    poll: false,
    final: false,
    independent: false,
    demand: false,
    multiplier: 3,
    myDiscriminator: 77,
    yourDiscriminator: 0,
    desiredMinTx: 1_000_000,
    requiredMinRx: 300_000,
    requiredMinEchoRx: 0,
    ...change,
  };
}

test('both are Up one and a half round trips after the first packet that gets through', () => {
  const link = pair();
  link.start('a', bfdParameters(300));
  link.run(5);
  link.start('b', bfdParameters(300));
  link.run(100);
  assert.deepEqual(story(link), [
    '10 b down -> init (none)',
    '15 a down -> init (none)',
    '20 a init -> up (none)',
    '25 b init -> up (none)',
  ]);
});

test('one that starts later than the other packet brings both Up by its own', () => {
  const link = pair();
  link.start('a', bfdParameters(300));
  link.run(500);
  link.start('b', bfdParameters(300));
  link.run(100);
  assert.deepEqual(story(link), ['510 a down -> init (none)', '520 b down -> up (none)', '530 a init -> up (none)']);
});

test('both start at the same moment', () => {
  const link = pair();
  link.start('a', bfdParameters(300));
  link.start('b', bfdParameters(300));
  link.run(1000);
  assert.deepEqual(story(link), [
    '10 b down -> init (none)',
    '10 a down -> init (none)',
    '20 a init -> up (none)',
    '20 b init -> up (none)',
  ]);
});

test('a cut is noticed by both after three intervals, and healed at the next packet', () => {
  const link = pair();
  link.start('a', bfdParameters(300));
  link.run(1);
  link.start('b', bfdParameters(300));
  link.run(4999);
  story(link);
  link.cut();
  link.run(2000);
  const down = story(link);
  assert.equal(down.length, 2);
  for (const line of down) {
    assert.match(line, /^5[6-9]\d\d [ab] up -> down \(detection-time-expired\)$/);
  }
  link.heal();
  link.run(1100);
  assert.equal(link.session('a').state, 'up');
  assert.equal(link.session('b').state, 'up');
});

test('a cut in one direction takes both Down, the second by the word of the first', () => {
  const link = pair();
  link.start('a', bfdParameters(300));
  link.start('b', bfdParameters(300));
  link.run(5000);
  story(link);
  link.loss.a = 1;
  link.run(1000);
  const [first, second] = story(link);
  assert.match(first ?? '', /b up -> down \(detection-time-expired\)/);
  assert.match(second ?? '', /a up -> down \(neighbour-down\)/);
  assert.equal(Number(second?.split(' ')[0]) - Number(first?.split(' ')[0]), 10);
});

test('a passive end that loses the other still says so once', () => {
  const link = pair();
  link.start('a', bfdParameters(300));
  link.start('b', bfdParameters(300, 3, 'passive'));
  link.run(5000);
  story(link);
  link.loss.a = 1;
  link.run(3000);
  assert.match(story(link).at(-1) ?? '', /a up -> down \(neighbour-down\)/);
});

test('an end that was killed and started again brings both Up in one and a half round trips', () => {
  const link = pair();
  link.start('a', bfdParameters(300));
  link.start('b', bfdParameters(300));
  link.run(5000);
  story(link);
  link.kill('b');
  link.run(100);
  link.start('b', bfdParameters(300));
  link.run(400);
  assert.deepEqual(story(link), [
    '5110 a up -> down (neighbour-down)',
    '5120 b down -> init (none)',
    '5130 a down -> up (none)',
    '5140 b init -> up (none)',
  ]);
});

test('AdminDown takes the other end Down, and it stays there', () => {
  const link = pair();
  link.start('a', bfdParameters(300));
  link.start('b', bfdParameters(300));
  link.run(5000);
  story(link);
  link.adminDown('a');
  link.run(3000);
  assert.deepEqual(story(link), [
    '5000 a up -> admin-down (administratively-down)',
    '5010 b up -> down (neighbour-down)',
  ]);
  assert.equal(link.session('b').remote.state, 'admin-down');
});

test('a passive end sends nothing until it has heard the other', () => {
  const link = pair();
  link.start('b', bfdParameters(300, 3, 'passive'));
  link.run(5000);
  assert.deepEqual(link.sent, []);
  assert.equal(link.wakeAt('b'), Infinity);
  link.kick('b');
  assert.deepEqual(link.sent, []);
  link.start('a', bfdParameters(300));
  link.run(30);
  assert.deepEqual(story(link), ['5010 b down -> init (none)', '5020 a down -> up (none)', '5030 b init -> up (none)']);
});

test('while not Up a packet leaves once a second, and a kick sends one more', () => {
  const link = pair();
  link.start('a', bfdParameters(300));
  link.run(2500);
  assert.deepEqual(gaps(link, 'a', 0), [1000, 1000]);
  link.kick('a');
  link.run(1500);
  assert.deepEqual(gaps(link, 'a', 2000), [500, 1000]);
  assert.equal(link.sent[0]?.packet.desiredMinTx, 1_000_000);
});

test('the slower end sets the pace of both directions', () => {
  const link = pair();
  link.start('a', bfdParameters(300));
  link.start('b', bfdParameters(2000));
  link.run(10_000);
  assert.deepEqual([...new Set(gaps(link, 'a', 3000))], [2000]);
  assert.deepEqual([...new Set(gaps(link, 'b', 3000))], [2000]);
  story(link);
  link.loss.b = 1;
  link.run(20_000);
  const at = Number(story(link)[0]?.split(' ')[0]);
  assert.ok(at > 10_000 + 4000 && at <= 10_000 + 6010, `a noticed at ${String(at)}`);
});

test('each direction has its own interval', () => {
  const link = pair();
  link.start('a', bfdParameters(300, 3, 'active', 1000));
  link.start('b', bfdParameters(300, 3, 'active', 300));
  link.run(9000);
  assert.deepEqual([...new Set(gaps(link, 'a', 2000))], [300]);
  assert.deepEqual([...new Set(gaps(link, 'b', 2000))], [1000]);
});

test('a slower interval counts only when the Poll was answered', () => {
  const link = pair();
  link.start('a', bfdParameters(300));
  link.start('b', bfdParameters(300));
  link.run(5000);
  link.loss.b = 1;
  link.configure('a', bfdParameters(1000));
  link.run(700);
  assert.equal(link.session('a').state, 'up');
  const polls = link.sent.filter(({ by, at }) => by === 'a' && at >= 5000);
  assert.ok(
    polls.length >= 2 && polls.every(({ packet: { poll, desiredMinTx } }) => poll && desiredMinTx === 1_000_000),
  );
  assert.deepEqual([...new Set(gaps(link, 'a', 5000))], [300]);
  link.loss.b = 0;
  link.run(5000);
  assert.equal(link.session('a').state, 'up');
  assert.equal(link.session('a').effective.desiredMinTx, 1000);
  assert.deepEqual([...new Set(gaps(link, 'a', 7500))], [1000]);
});

test('a faster receive interval counts for detection only when the Poll was answered', () => {
  const link = pair();
  link.start('a', bfdParameters(1000));
  link.start('b', bfdParameters(100));
  link.run(9500);
  link.configure('a', bfdParameters(100));
  assert.equal(link.session('a').effective.requiredMinRx, 1000);
  link.run(3000);
  assert.equal(link.session('a').effective.requiredMinRx, 100);
  assert.deepEqual(story(link).length, 4);
  assert.deepEqual([...new Set(gaps(link, 'b', 11_500))], [100]);
});

test('a change during a Poll Sequence waits for its end and is polled on its own', () => {
  const link = pair();
  link.start('a', bfdParameters(300));
  link.start('b', bfdParameters(300));
  link.run(5000);
  link.configure('a', bfdParameters(500));
  link.run(290);
  const sent = link.sent.filter(({ by }) => by === 'a').at(-1);
  assert.equal(sent?.packet.poll, true);
  link.configure('a', bfdParameters(400));
  assert.equal(link.session('a').advertised.desiredMinTx, 500);
  link.run(5000);
  assert.equal(link.session('a').effective.desiredMinTx, 400);
  assert.equal(link.session('b').remote.desiredMinTx, 400_000);
});

test('another multiplier needs no Poll', () => {
  const link = pair();
  link.start('a', bfdParameters(300));
  link.start('b', bfdParameters(300));
  link.run(5000);
  link.configure('a', bfdParameters(300, 5));
  assert.equal(link.session('a').poll, 'none');
  link.run(500);
  assert.equal(link.session('b').remote.multiplier, 5);
});

test('a Poll is answered at once with Final, which carries a new state too', () => {
  const started = bfdStart(bfdParameters(300), 0 as Instant, 5, 0);
  const init = bfdReceive(started.session, packet({}), 10 as Instant, 0);
  const up = bfdReceive(
    init.session,
    packet({ state: 'up', poll: true, yourDiscriminator: 5, desiredMinTx: 300_000 }),
    20 as Instant,
    0,
  );
  assert.equal(up.send.length, 1);
  assert.deepEqual(
    up.send.map(({ state, poll, final, yourDiscriminator }) => ({ state, poll, final, yourDiscriminator })),
    [{ state: 'up', poll: false, final: true, yourDiscriminator: 77 }],
  );
});

test('a remote that requires no packets gets none, but is told changes of state', () => {
  const started = bfdStart(bfdParameters(300), 0 as Instant, 5, 0);
  const init = bfdReceive(started.session, packet({ requiredMinRx: 0 }), 10 as Instant, 0);
  assert.deepEqual(
    init.send.map(({ state }) => state),
    ['init'],
  );
  assert.equal(init.wakeAt, 10 + 3000, 'only detection is left');
});

test('a remote in demand mode gets no periodic packets once both are Up', () => {
  const started = bfdStart(bfdParameters(300), 0 as Instant, 5, 0);
  const up = bfdReceive(started.session, packet({ state: 'init', yourDiscriminator: 5 }), 10 as Instant, 0);
  assert.equal(up.send[0]?.poll, true);
  const demand = { state: 'up', demand: true, yourDiscriminator: 5, desiredMinTx: 300_000 } as const;
  const answered = bfdReceive(up.session, packet({ ...demand, final: true }), 20 as Instant, 0);
  assert.equal(answered.wakeAt, 20 + 900);
});

test("packets with another session's discriminator change nothing", () => {
  const started = bfdStart(bfdParameters(300), 0 as Instant, 5, 0);
  const step = bfdReceive(started.session, packet({ state: 'init', yourDiscriminator: 6 }), 10 as Instant, 0);
  assert.equal(step.session, started.session);
  assert.deepEqual(step.send, []);
});

test('the discriminator of a silent remote is forgotten after the detection time, also when Down', () => {
  const link = pair();
  link.start('a', bfdParameters(300));
  link.start('b', bfdParameters(300));
  link.run(2000);
  link.adminDown('b');
  link.run(20);
  assert.notEqual(link.session('a').remote.discriminator, 0);
  link.kill('b');
  link.run(4000);
  assert.equal(link.session('a').remote.discriminator, 0);
  assert.equal(link.sent.at(-1)?.packet.yourDiscriminator, 0);
});

test('the first Poll measures the round trip, and later ones repeat it', () => {
  const link = pair(25);
  link.start('a', bfdParameters(300));
  link.run(1);
  link.start('b', bfdParameters(300));
  link.run(800);
  assert.equal(leastTrip(link.session('a').trips), 50);
  assert.equal(leastTrip(link.session('b').trips), 50);
  link.run(25_000);
  assert.ok(link.session('a').trips.length >= 3);
  assert.equal(link.sent.filter(({ packet: { poll, final } }) => poll && final).length, 0);
});

test('polls without an answer are counted: what is late is not lost, and what is lost is not late', () => {
  const random = mulberry(7);
  for (const [delay, loss] of [
    [10, 0],
    [400, 0],
    [10, 0.05],
    [10, 0.15],
    [200, 0.1],
  ] as const) {
    const link = new BfdLink({ delay, random });
    link.start('a', bfdParameters(300, 20));
    link.start('b', bfdParameters(300, 20));
    link.run(5000);
    link.loss.a = loss;
    link.loss.b = loss;
    const seen: number[] = [];
    for (let minute = 0; minute < 40; minute += 1) {
      link.run(70_000);
      seen.push(lossOf(link.session('a').trips) ?? Number.NaN);
      assert.equal(Math.round(leastTrip(link.session('a').trips) ?? 0), 2 * delay);
    }
    const mean = seen.reduce((sum, one) => sum + one, 0) / seen.length;
    const both = 1 - (1 - loss) ** 2;
    assert.ok(Math.abs(mean - both) < 0.03, `${String(loss)} each way: ${mean.toFixed(3)}, not ${both.toFixed(3)}`);
  }
});

test('intervals are shortened at random: to 75 to 100 %, with multiplier 1 to 75 to 90 %', () => {
  for (const [multiplier, random, expected] of [
    [3, 0, 225],
    [3, full, 300],
    [1, 0, 225],
    [1, full, 270],
  ] as const) {
    const link = new BfdLink({ delay: 1, random: () => random });
    link.start('a', bfdParameters(300, multiplier));
    link.start('b', bfdParameters(300, 3));
    link.run(5000);
    assert.deepEqual([...new Set(gaps(link, 'a', 2000))], [expected]);
  }
});

test('what is encoded fits the wire', () => {
  const { send } = bfdStart(bfdParameters(300), 0 as Instant, 0xffffffff, 0);
  assert.equal(
    send.map((sent) => Buffer.from(encodeBfdPacket(sent)).toString('hex')).join(),
    ['20400318ffffffff00000000000f4240000493e000000000'].join(),
  );
});

test('a packet may leave from 75 % of the interval on, when the process is awake for another reason', () => {
  const { session, mayAt, wakeAt } = bfdStart(bfdParameters(2000), 0 as Instant, 1, full);
  assert.deepEqual({ mayAt, wakeAt: Math.round(wakeAt) }, { mayAt: 1500, wakeAt: 2000 });
  assert.deepEqual(bfdTick(session, 1499 as Instant, full).send, []);
  const early = bfdTick(session, 1500 as Instant, full);
  assert.equal(early.send.length, 1);
  assert.equal(early.mayAt, 3000);
});
