// A prefix that flaps, as the registry sees it.
import assert from 'node:assert/strict';
import test from 'node:test';
import * as fc from 'fast-check';
import { isDamped, suppressAt, withdrawn, type Flap } from '#proto/model/damping.ts';
import { cieCode } from '#proto/model/nhrp.ts';
import type { Instant } from '#proto/model/time.ts';
import { dampedOf, type Flaps, flapped, noFlaps, release, remembered } from '#registry/decide/damping.ts';
import { purgeByNode, purgeRequest } from '#registry/decide/purge.ts';
import { register } from '#registry/decide/register.ts';
import { routeRows } from '#registry/decide/visible-routes.ts';
import { createMemoryStore } from '#test/support/memory-store.ts';
import {
  announcement,
  at,
  bindingRecord,
  enrolled,
  nodeId,
  nodeRecord,
  overlayRecord,
  prefix,
} from '#test/support/registry-fixtures.ts';

const lan = prefix('10.1.1.0/24');
const quiet = prefix('10.1.2.0/24');
const random = (): number => 0.5;

/** A node, and the registry that remembers what it did. */
class Story {
  readonly store = createMemoryStore();
  now = 1000;
  flaps: Flaps = noFlaps;

  constructor() {
    const node = nodeRecord(1, { prefixes: [prefix('10.1.0.0/16')] });
    this.store.force({ put: [{ kind: 'overlay', record: overlayRecord() }, ...enrolled(node, bindingRecord(1))] });
  }

  /** Returns the codes, and whether something was written. */
  announce(texts: readonly string[], options: { additive?: boolean; preference?: number } = {}): string {
    const request = announcement(this.#node().address, texts, options);
    const damping = { flaps: this.flaps, now: this.now as Instant, random };
    const context = { now: at(this.now), agentVersion: 'test', damping };
    const { reply, transaction, flaps } = register(this.store.snapshot(), this.#node(), request, context);
    this.flaps = flaps ?? this.flaps;
    if (transaction) this.store.force(transaction);
    const codes = 'cies' in reply.body ? reply.body.cies.map(({ code }) => code) : [];
    return `${codes.join(' ')}${transaction ? ' written' : ''}`;
  }

  purge(text: string): boolean {
    const { body } = purgeRequest(this.#node(), [prefix(text)], 1, undefined);
    const request = { ...announcement(this.#node().address, []), body };
    const damping = { flaps: this.flaps, now: this.now as Instant, random };
    const { transaction, flaps } = purgeByNode(this.store.snapshot(), this.#node(), request, { damping });
    this.flaps = flaps ?? this.flaps;
    if (transaction) this.store.force(transaction);
    return transaction !== undefined;
  }

  /** As the registry does every second. */
  wait(milliseconds: number): void {
    this.now += milliseconds;
    const moment = { now: this.now as Instant, date: at(this.now) };
    const released = release(this.store.snapshot(), this.#node(), this.flaps, moment);
    if (released) this.store.force(released);
    else this.flaps = remembered(this.flaps, this.now as Instant);
  }

  states(): string[] {
    const rows = routeRows(this.store.snapshot(), at(this.now)).filter((one) => one.prefix.startsWith('10.1.'));
    return rows.map((one) => `${one.prefix} ${one.state} ${String(one.preference)}`);
  }

  #node() {
    const node = this.store.snapshot().nodes.get(nodeId(1));
    assert.ok(node);
    return node;
  }
}

/** 50 times a second. */
function flap(story: Story, times: number, withdraw: () => void): number {
  let written = 0;
  for (let count = 0; count < times; count++) {
    const before = story.store.commits();
    withdraw();
    story.now += 10;
    written += story.announce([lan, quiet]).includes('written') ? 1 : 0;
    story.now += 10;
    assert.ok(story.store.commits() >= before);
  }
  return written;
}

test('a prefix that flaps is damped, costs nothing more, and is announced when it is quiet', () => {
  const story = new Story();
  assert.equal(story.announce([lan, quiet]), '0 0 written');
  const written = flap(story, 50, () => story.announce([quiet]));
  assert.ok(written <= 6, `${String(written)} written`);
  assert.equal(story.announce([lan, quiet]), `${String(cieCode.noResources)} 0`);
  assert.deepEqual(story.states(), [`${lan} damped 0`, `${quiet} active 0`]);
  const [row] = routeRows(story.store.snapshot(), at(story.now)).filter(({ state }) => state === 'damped');
  assert.match(row?.reason ?? '', /flaps/);
  assert.equal(row?.active, false);

  story.wait(20_000);
  assert.deepEqual(story.states(), [`${lan} damped 0`, `${quiet} active 0`]);
  story.wait(7000);
  assert.deepEqual(story.states(), [`${lan} active 0`, `${quiet} active 0`], 'nobody had to ask again');
  story.wait(30_000);
  assert.equal(story.flaps.size, 0, 'and it is forgotten');
});

test('what is gone when it is quiet stays gone', () => {
  const story = new Story();
  story.announce([lan, quiet]);
  flap(story, 10, () => story.announce([quiet]));
  assert.equal(story.announce([quiet]), '0', 'nothing is written');
  assert.deepEqual(story.states(), [`${lan} damped 0`, `${quiet} active 0`]);
  story.wait(27_000);
  assert.deepEqual(story.states(), [`${quiet} active 0`]);
});

test('the same with purges and additive registrations, and with a preference that changes', () => {
  const story = new Story();
  story.announce([lan, quiet]);
  let written = 0;
  for (let count = 0; count < 20; count++) {
    written += story.purge(lan) ? 1 : 0;
    written += story.announce([lan], { additive: true }).includes('written') ? 1 : 0;
  }
  assert.ok(written <= 12, `${String(written)} written`);
  assert.deepEqual(story.states(), [`${lan} damped 0`, `${quiet} active 0`]);
  for (let count = 0; count < 20; count++) story.announce([quiet], { additive: true, preference: count });
  assert.deepEqual(story.states(), [`${lan} damped 0`, `${quiet} damped 6`]);
  story.wait(27_000);
  assert.deepEqual(story.states(), [`${lan} active 0`, `${quiet} active 19`]);
});

test('a node that damps by itself is never damped here', () => {
  const times = fc.array(fc.tuple(fc.integer({ min: 0, max: 8000 }), fc.double({ min: 0, max: 0.999, noNaN: true })), {
    maxLength: 60,
  });
  fc.assert(
    fc.property(times, (changes) => {
      let now = 0;
      let own: Flap | undefined;
      let flaps = noFlaps;
      for (const [pause, chance] of changes) {
        now += pause;
        const moment = now as Instant;
        // Held back by the node itself: it withdraws nothing.
        if (own && isDamped(own, moment)) continue;
        own = withdrawn(own, { now: moment, random: () => chance, suppress: suppressAt.node });
        const announced = [{ prefix: lan, preference: 0, since: at(0) }];
        flaps = flapped({ flaps, now: moment, random }, flaps.has(lan) ? [] : announced, () => undefined);
        flaps = flapped({ flaps, now: moment, random }, [], () => 0);
        assert.equal(dampedOf(flaps, moment).size, 0);
      }
    }),
  );
});
