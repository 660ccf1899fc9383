// A registry in this process, on a real etcd: what the benchmarks that fork one share.
import type { TestContext } from 'node:test';
import { systemClock } from '#proto/kit/clock.ts';
import { createLogger } from '#proto/kit/log.ts';
import type { Address } from '#proto/model/address.ts';
import { transaction } from '#registry/decide/node.ts';
import { openStore } from '#registry/store/store.ts';
import { startTestEtcd, type TestEtcd } from '#test/support/etcd.ts';
import { issue } from '#test/support/pki.ts';
import { address, nodeId, overlayRecord } from '#test/support/registry-fixtures.ts';
import { overlayName, type RegistryHost, registryFor } from '#test/support/registry-host.ts';
import type { Member } from './node.ts';

export interface BenchRegistry {
  readonly registry: RegistryHost;
  readonly etcd: TestEtcd;
  /** Stops both, and ends the process. */
  readonly stop: () => Promise<void>;
}

export async function startBenchRegistry(): Promise<BenchRegistry> {
  const undo: (() => unknown)[] = [];
  const context = { after: (step: () => unknown) => undo.push(step) } as unknown as TestContext;
  const etcd = await startTestEtcd();
  undo.push(() => etcd.close());
  const logger = createLogger('bench', 'silent');
  const registry = await registryFor(context, {
    store: (self) =>
      openStore({ endpoints: [etcd.endpoint], overlay: overlayName, replica: self, logger, clock: systemClock }),
  });
  const put = [{ kind: 'overlay', record: overlayRecord({ pool6: undefined }) }] as const;
  await registry.context.store.commit(transaction({ put }));
  const stop = async (): Promise<void> => {
    for (const step of undo.reverse()) await step();
    process.exit(0);
  };
  return { registry, etcd, stop };
}

export function ownAddress(number: number): Address {
  return address(`10.99.${String(number >> 8)}.${String(number & 255)}`);
}

/** With what node `number` shows itself. */
export async function memberOf({ ca }: RegistryHost, number: number): Promise<Member> {
  const { certificate, key } = await issue(ca, { kind: 'node', overlay: overlayName, id: nodeId(number) });
  return { address: ownAddress(number), certificate, key: key.reveal() };
}
