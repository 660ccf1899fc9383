// The loop guard: whatever the kernel has, what came out of the overlay does not go back into it.
import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { announce, type Announced, nothingAnnounced } from '#agent/decide/announce.ts';
import type { KernelRoute } from '#agent/decide/kernel-routes.ts';
import { routeProtocol } from '#agent/decide/host.ts';
import { parseKernelRoutes } from '#agent/observe/kernel-routes.ts';
import { parsePrefix, type Prefix } from '#proto/model/address.ts';
import { must } from '#proto/model/result.ts';
import { defaultRouting, type ImportRule } from '#proto/model/routing.ts';
import type { Instant } from '#proto/model/time.ts';

// Few prefixes, so that they meet.
const prefixes = [
  '10.0.0.0/8',
  '10.1.0.0/16',
  '10.1.1.0/24',
  '10.2.0.0/16',
  '0.0.0.0/0',
  'fd00::/16',
  'fd00:1::/48',
].map((text) => must(parsePrefix(text)));
const prefix = fc.constantFrom(...prefixes);
const route: fc.Arbitrary<KernelRoute> = fc.record(
  {
    prefix,
    protocol: fc.constantFrom(2, 4, 186, 188),
    table: fc.constantFrom(254, 77),
    interfaces: fc.uniqueArray(fc.constantFrom('eth0', 'eth1'), { minLength: 1 }),
    metric: fc.constantFrom(0, 20),
  },
  { noNullPrototype: true },
);
const everything: ImportRule = {
  protocol: undefined,
  table: 254,
  interfaces: [],
  prefixes: [],
  except: [],
  metric: undefined,
  preference: 7,
};
const step = fc.record({
  routes: fc.array(route, { maxLength: 12 }),
  learned: fc.uniqueArray(prefix, { maxLength: 4 }),
  wait: fc.constantFrom(10, 1000, 60_000),
});

test('nothing that others announce is announced, static prefixes always are, and never more than the limit', () => {
  const property = fc.property(
    fc.array(step, { minLength: 1, maxLength: 20 }),
    fc.integer({ min: 1, max: 4 }),
    fc.uniqueArray(fc.constantFrom(...prefixes.slice(0, 3)), { maxLength: 1 }),
    (steps, limit, fixed) => {
      let state: Announced = nothingAnnounced;
      let now = 0;
      for (const { routes, learned, wait } of steps) {
        now += wait;
        const originOf = (one: Prefix): string | undefined => (learned.includes(one) ? 'another' : undefined);
        const routing = { ...defaultRouting, limit, import: [everything] };
        state = announce({ prefixes: fixed, routing, routes, originOf }, state, {
          now: now as Instant,
          random: () => 0.5,
        });
        const picked = routes.filter(({ protocol, table }) => protocol !== 2 && table === 254);
        assert.ok(state.announcements.size <= limit);
        for (const one of fixed) assert.ok(state.announcements.has(one));
        for (const one of state.announcements.keys()) {
          assert.ok(fixed.includes(one) || (!learned.includes(one) && picked.some((each) => each.prefix === one)), one);
          assert.ok(!state.withheld.has(one), one);
        }
      }
    },
  );
  fc.assert(property);
});

test('routes of our own, and those by tunnels, are not even seen', () => {
  const entry = fc.record({
    dst: fc.constantFrom('10.1.0.0/16', 'default', '10.2.0.1'),
    dev: fc.constantFrom('eth0', 'dmwg0', 'dmwg-h1', 'dmwgx'),
    protocol: fc.constantFrom('188', String(routeProtocol)),
    flags: fc.subarray(['linkdown', 'dead', 'onlink']),
  });
  const asked = { table: 254, protocol: undefined, family: 4, interfacePrefix: 'dmwg' } as const;
  fc.assert(
    fc.property(fc.array(entry), (entries) => {
      const seen = parseKernelRoutes(JSON.stringify(entries), asked);
      const works = entries.filter(({ flags }) => !flags.includes('linkdown') && !flags.includes('dead'));
      const foreign = works.filter(({ protocol, dev }) => protocol === '188' && ['eth0', 'dmwgx'].includes(dev));
      assert.equal(seen.length, foreign.length);
      for (const { protocol, interfaces } of seen) {
        assert.ok(protocol !== routeProtocol && !interfaces.some((name) => ['dmwg0', 'dmwg-h1'].includes(name)));
      }
    }),
  );
});
