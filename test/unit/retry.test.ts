import assert from 'node:assert/strict';
import test from 'node:test';
import type { Change } from '#agent/decide/change.ts';
import type { TunnelState } from '#agent/decide/host.ts';
import { dueChanges, type Failures, nextFailures } from '#agent/decide/retry.ts';
import { parsePrefix } from '#proto/model/address.ts';
import { must } from '#proto/model/result.ts';
import type { Instant } from '#proto/model/time.ts';

const at = (ms: number): Instant => ms as Instant;
const tunnel: TunnelState = {
  name: 'dmwg0',
  publicKey: undefined,
  listenPort: 1,
  mtu: 1400,
  mark: 0,
  up: true,
  addresses: new Set(),
  peers: new Map(),
};
const create: Change = { kind: 'create-interface', tunnel };
const add: Change = { kind: 'add-address', interface: 'dmwg0', address: must(parsePrefix('10.0.0.1/32')) };
const other: Change = { kind: 'remove-firewall' };

test('what fails is tried again ever more seldom, and what needs it waits with it', () => {
  let failures: Failures = new Map();
  const wanted = [create, add, other];
  const times: number[] = [];
  for (let now = 0; now < 100_000; now += 500) {
    const due = dueChanges(wanted, failures, at(now));
    if (due.includes(create)) times.push(now);
    assert.equal(due.includes(add), due.includes(create));
    assert.ok(due.includes(other));
    failures = nextFailures(
      failures,
      wanted,
      due.map((change) => ({ change, error: change === other ? undefined : 'no' })),
      at(now),
    );
    assert.equal(failures.size, 1);
  }
  assert.deepEqual(times, [0, 1000, 3000, 7000, 15_000, 31_000, 61_000, 91_000]);
});

test('another error, another port or another wish begins anew', () => {
  const once = nextFailures(new Map(), [create], [{ change: create, error: 'no' }], at(0));
  const again = nextFailures(once, [create], [{ change: create, error: 'neither' }], at(1000));
  assert.deepEqual(
    [...again.values()].map(({ wait }) => wait),
    [1000],
  );
  const moved: Change = { kind: 'create-interface', tunnel: { ...tunnel, listenPort: 2 } };
  assert.deepEqual(dueChanges([moved, add], once, at(1)), [moved, add]);
  assert.equal(nextFailures(once, [add], [], at(1)).size, 0);
  assert.equal(nextFailures(once, [create], [{ change: create, error: undefined }], at(1)).size, 0);
});
