import type { RegistryConfig } from '#proto/codec/registry-config.ts';
import type { Logger } from '#proto/kit/log.ts';
import { readEtcdCredentials } from '#registry/serve/etcd-credentials.ts';
import type { EmbeddedEtcd, EmbeddedEtcdOptions } from '#registry/store/embedded-etcd.ts';

export interface EtcdPlace {
  /** The state dir. */
  readonly dir: string;
  /** Of a cluster; none: the registry's own. */
  readonly urls: readonly string[];
  readonly tls: RegistryConfig['etcdTls'];
  readonly log: Logger;
}

/** The etcd of a registry: a cluster, or its own by `own`. Throws ProgramError. */
export async function reachEtcd(
  { dir, urls, tls, log }: EtcdPlace,
  own: (options: EmbeddedEtcdOptions) => Promise<EmbeddedEtcd>,
): Promise<EmbeddedEtcd> {
  if (urls.length === 0) {
    // Not stopped by a signal: the store says goodbye to it first.
    return own({ dir, logger: log, signal: new AbortController().signal });
  }
  const credentials = await readEtcdCredentials(dir, urls, tls);
  return { endpoints: urls, ...(credentials && { credentials }), stop: () => Promise.resolve() };
}
