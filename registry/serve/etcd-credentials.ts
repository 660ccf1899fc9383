import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { EtcdTls } from '#proto/codec/registry-config.ts';
import { errorText, ProgramError } from '#proto/kit/errors.ts';
import type { EtcdCredentials } from '#registry/store/port.ts';

/**
 * How the registry shows itself to the members of a cluster, and knows them: none for URLs of http. Files are relative to the state
 * dir `dir`. Throws ProgramError where `tls` and the URLs do not fit, or a file cannot be read.
 */
export async function readEtcdCredentials(
  dir: string,
  urls: readonly string[],
  tls: EtcdTls | undefined,
): Promise<EtcdCredentials | undefined> {
  const secure = urls.filter((url) => url.startsWith('https:'));
  if (!tls) {
    if (secure.length === 0) return undefined;
    throw new ProgramError(`${secure.join(' ')}: registry.yaml needs etcdTls.ca, the file with the cluster's CA`);
  }
  if (secure.length < urls.length)
    throw new ProgramError('with etcdTls in registry.yaml every URL of etcd is of https');
  const { ca, certificate, key } = tls;
  if ((certificate === undefined) !== (key === undefined))
    throw new ProgramError('etcdTls in registry.yaml: certificate and key go together');
  const client = certificate !== undefined && key !== undefined && { certificate, key };
  return {
    ca: await read(dir, ca),
    client: client ? { certificate: await read(dir, client.certificate), key: await read(dir, client.key) } : undefined,
  };
}

async function read(dir: string, file: string): Promise<Buffer> {
  try {
    return await readFile(resolve(dir, file));
  } catch (error) {
    throw new ProgramError(`etcdTls in registry.yaml: ${errorText(error)}`);
  }
}
