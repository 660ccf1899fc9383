// What the tests of the store share: an etcd and stores that end with the test, and transactions to give them.
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { systemClock } from '#proto/kit/clock.ts';
import { createLogger } from '#proto/kit/log.ts';
import type { Result } from '#proto/model/result.ts';
import type { Key, Transaction } from '#registry/store/port.ts';
import { openStore, type OpenStore, type OpenStoreOptions } from '#registry/store/store.ts';
import { startTestEtcd, type TestEtcd } from '#test/support/etcd.ts';
import { bindingRecord, enrolled, nodeId, nodeRecord, prefix } from '#test/support/registry-fixtures.ts';

export const logger = createLogger('test', process.env['DMWG_TEST_LOG'] ?? 'silent');
export const within = 10_000;

export async function etcdFor(t: TestContext): Promise<TestEtcd> {
  const etcd = await startTestEtcd();
  t.after(() => etcd.close());
  return etcd;
}

export async function storeFor(
  t: TestContext,
  { endpoint }: { readonly endpoint: string },
  id: string,
  parts: Partial<OpenStoreOptions> = {},
): Promise<OpenStore> {
  const store = await openStore({
    endpoints: [endpoint],
    overlay: 'blue',
    replica: { id, address: `${id}.example:7443` },
    logger: logger.child({ replica: id }),
    clock: systemClock,
    ...parts,
  });
  t.after(() => store.close());
  return store;
}

export function transaction(parts: Partial<Transaction>): Transaction {
  return { absent: [], unchanged: [], put: [], delete: [], ...parts };
}

export function enrol(number: number): Transaction {
  const node = nodeRecord(number, { prefixes: [prefix(`10.${String(number)}.0.0/16`)] });
  const binding = bindingRecord(number, { prefixes: node.prefixes });
  const absent: Key[] = [
    { kind: 'claim-name', name: node.name },
    { kind: 'claim-address', address: node.address },
    ...node.prefixes.map((one) => ({ kind: 'claim-prefix', prefix: one }) as const),
  ];
  return transaction({ absent, put: enrolled(node, binding) });
}

export function succeeded(result: Result<void>): void {
  assert.deepEqual(result, { ok: true, value: undefined });
}

export function failedWith(result: Result<void>, code: string, message: RegExp): void {
  assert.ok(!result.ok);
  assert.equal(result.fault.code, code);
  assert.match(result.fault.message, message);
}

export function session(number: number, replica: string): Transaction {
  return transaction({ put: [{ kind: 'session', record: { node: nodeId(number), replica } }] });
}
