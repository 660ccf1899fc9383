import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { decodeBfdPacket, encodeBfdPacket, type BfdPacket } from '#agent/decide/bfd-packet.ts';
import { BfdLink, bfdParameters } from '#test/support/bfd-link.ts';

const uint32 = fc.integer({ min: 0, max: 0xffffffff });

test('decode never throws, and what it accepts encodes to the same value', () => {
  const nearly = fc
    .tuple(fc.uint8Array({ minLength: 24, maxLength: 24 }), fc.integer({ min: 0, max: 30 }))
    .map(([bytes, length]) => {
      bytes[0] = ((bytes[0] ?? 0) & 0x1f) | 0x20;
      bytes[1] = (bytes[1] ?? 0) & 0xfa;
      bytes[3] = length;
      return bytes;
    });
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 60 }), nearly), (bytes) => {
      const decoded = decodeBfdPacket(bytes);
      if (!decoded.ok) return;
      assert.deepEqual(decodeBfdPacket(encodeBfdPacket(decoded.value)), decoded);
    }),
    { numRuns: 2000 },
  );
});

test('encode and decode are inverse', () => {
  const packets: fc.Arbitrary<BfdPacket> = fc.record(
    {
      diagnostic: fc.integer({ min: 0, max: 31 }),
      state: fc.constantFrom('admin-down', 'down', 'init', 'up'),
      poll: fc.boolean(),
      final: fc.boolean(),
      independent: fc.boolean(),
      demand: fc.boolean(),
      multiplier: fc.integer({ min: 1, max: 255 }),
      myDiscriminator: fc.integer({ min: 1, max: 0xffffffff }),
      yourDiscriminator: fc.integer({ min: 1, max: 0xffffffff }),
      desiredMinTx: uint32,
      requiredMinRx: uint32,
      requiredMinEchoRx: uint32,
    },
    { noNullPrototype: true },
  );
  fc.assert(
    fc.property(packets, (packet) => {
      assert.deepEqual(decodeBfdPacket(encodeBfdPacket(packet)), { ok: true, value: packet });
    }),
  );
});

const intervals = fc.constantFrom(50, 100, 300, 1000, 2000);
const events = fc.array(
  fc.record({
    wait: fc.integer({ min: 0, max: 4000 }),
    what: fc.constantFrom('cut', 'cut-a', 'cut-b', 'heal', 'lossy', 'restart-a', 'restart-b', 'configure', 'kick'),
    interval: intervals,
  }),
  { maxLength: 25 },
);

/** A link with a history of `list`; `check` runs after every event in it. */
function play(
  seed: number,
  list: { wait: number; what: string; interval: number }[],
  check: (link: BfdLink) => void,
): BfdLink {
  let state = seed >>> 0;
  const random = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const link = new BfdLink({ delay: 1 + (seed % 40), random });
  link.start('a', bfdParameters(300));
  link.start('b', bfdParameters(300, 3, seed % 2 === 0 ? 'active' : 'passive'));
  for (const { wait, what, interval } of list) {
    link.run(wait, () => {
      check(link);
    });
    if (what === 'cut') link.cut();
    else if (what === 'heal') link.heal();
    else if (what === 'cut-a') link.loss.a = 1;
    else if (what === 'cut-b') link.loss.b = 1;
    else if (what === 'lossy') link.loss.a = link.loss.b = 0.3;
    else if (what === 'restart-a') link.start('a', bfdParameters(interval));
    else if (what === 'restart-b') link.start('b', bfdParameters(interval));
    else if (what === 'configure') link.configure('a', bfdParameters(interval));
    else link.kick('a');
  }
  return link;
}

/** No interval is above 2 s, and none counts more than three times. */
const longestDetection = 6000;

/**
 * An end is Up alone while the other, which does not hear it, waits for its detection time; and if by then the news of that cannot
 * arrive either, until its own is over.
 */
const longestAlone = 2 * longestDetection;

test('one end is never Up alone for longer than two detection times and a way', () => {
  fc.assert(
    fc.property(fc.nat(), events, (seed, list) => {
      let aloneSince: number | undefined;
      const check = (link: BfdLink): void => {
        const alone = (link.session('a').state === 'up') !== (link.session('b').state === 'up');
        aloneSince = alone ? (aloneSince ?? link.now) : undefined;
        if (aloneSince === undefined) return;
        assert.ok(link.now - aloneSince <= longestAlone + 100, link.story.join('\n'));
      };
      const link = play(seed, list, check);
      link.run(20_000, () => {
        check(link);
      });
    }),
    { numRuns: 200 },
  );
});

test('whatever happened, a healthy link is Up at both ends, with what is configured in use', () => {
  fc.assert(
    fc.property(fc.nat(), events, (seed, list) => {
      const link = play(seed, list, () => undefined);
      link.heal();
      link.run(60_000);
      for (const end of ['a', 'b'] as const) {
        const session = link.session(end);
        assert.equal(session.state, 'up', link.story.join('\n'));
        assert.deepEqual(session.effective, session.advertised);
        assert.equal(session.effective.desiredMinTx, session.parameters.desiredMinTx);
      }
      const before = link.story.length;
      link.run(60_000);
      assert.equal(link.story.length, before, 'it stays Up');
    }),
    { numRuns: 200 },
  );
});

test('no packet has both Poll and Final, and no end sends more often than the other can receive', () => {
  fc.assert(
    fc.property(fc.nat(), events, (seed, list) => {
      const link = play(seed, list, () => undefined);
      link.heal();
      link.run(30_000);
      const from = link.now;
      link.run(30_000);
      for (const { packet } of link.sent) assert.ok(!(packet.poll && packet.final));
      for (const end of ['a', 'b'] as const) {
        const { effective, remote } = link.session(end);
        const interval = Math.max(effective.desiredMinTx, remote.requiredMinRx / 1000);
        const times = link.sent.filter(({ by, at, packet }) => by === end && at > from && !packet.final);
        times.slice(1).forEach(({ at }, index) => {
          const gap = at - (times[index]?.at ?? 0);
          assert.ok(gap >= interval * 0.75 - 0.001 && gap <= interval + 0.001, `${String(gap)} of ${String(interval)}`);
        });
      }
    }),
    { numRuns: 100 },
  );
});
