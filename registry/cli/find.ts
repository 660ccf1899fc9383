// Where the registry is and who asks: an operator's profile, a registry's state dir, or a node's.
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { parseAgentConfig } from '#proto/codec/agent-config.ts';
import { parseProfile } from '#proto/codec/profile.ts';
import { certificateExpiry, derOf, parseIdentity } from '#proto/kit/certificate.ts';
import { ProgramError, systemCode } from '#proto/kit/errors.ts';
import { must } from '#proto/model/result.ts';
import type { Io } from './io.ts';
import type { Access } from './rpc.ts';
import { defaultNodeDir, defaultRegistryDir, exists, givenStateDir, type StateDirOptions } from './state-dir.ts';

export interface FindOptions extends StateDirOptions {
  readonly profile?: string;
}

export type Found = Access & {
  readonly who: 'admin' | 'node';
  /** The file or directory that said so. */
  readonly from: string;
  /** The node address of the asking node. */
  readonly source: string | undefined;
};

export function withFind(command: Command): Command {
  return command
    .option('--profile <file>', 'admin profile (else $DMWG_PROFILE)')
    .option('--state-dir <dir>', 'state dir of a registry or a node (else $DMWG_STATE_DIR)');
}

/** For options that may be repeated. */
export function collect(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}

/** Throws ProgramError with what to give, if nothing leads to a registry. */
export async function findRegistry(io: Io, options: FindOptions): Promise<Found> {
  const profile = options.profile ?? io.environment['DMWG_PROFILE'];
  if (profile !== undefined && profile !== '') return fromProfile(resolve(profile));
  const given = givenStateDir(io, options);
  if (given !== undefined) return fromStateDir(given);
  for (const dir of [defaultRegistryDir, defaultNodeDir]) {
    if (await exists(dir)) return fromStateDir(dir);
  }
  throw new ProgramError(
    'no registry is known here; give --profile FILE (the admin.yaml that `dmwg init` wrote) or --state-dir DIR',
  );
}

/** One replica, at this address (host:port), as the operator. */
export async function findReplica(io: Io, options: FindOptions, address: string): Promise<Found> {
  const found = await findRegistry(io, options);
  const named = found.kind === 'socket' ? await fromProfile(join(found.from, 'admin.yaml')) : found;
  return named.kind === 'tls' ? { ...named, addresses: [address] } : named;
}

export function requireAdmin(found: Found, order: string): void {
  if (found.who === 'admin') return;
  throw new ProgramError(
    `"dmwg ${order}" is for operators and ${found.from} is a node's; give --profile FILE or the registry's --state-dir`,
  );
}

async function fromStateDir(dir: string): Promise<Found> {
  if (await exists(join(dir, 'registry.yaml'))) {
    const socket = join(dir, 'registry.sock');
    if (await answers(socket)) return { kind: 'socket', path: socket, who: 'admin', from: dir, source: undefined };
    return fromProfile(join(dir, 'admin.yaml'));
  }
  if (await exists(join(dir, 'agent.yaml'))) return fromNode(dir);
  throw new ProgramError(
    `${dir} is not the state dir of a registry or a node, or is not readable; check the path, run this as root, or give --profile FILE`,
  );
}

async function fromProfile(path: string): Promise<Found> {
  const parsed = parseProfile(await readText(path));
  if (!parsed.ok) throw new ProgramError(`${path} is not a good admin profile: ${parsed.fault.message}`);
  const { registry, caCertificate, certificate, key } = parsed.value;
  return {
    kind: 'tls',
    addresses: registry,
    overlay: overlayOf(certificate, path),
    ca: caCertificate,
    identity: { certificate, key: key.reveal() },
    who: 'admin',
    from: path,
    source: undefined,
  };
}

/** The registry as the node of this state dir sees it. */
export async function fromNode(dir: string): Promise<Found & { readonly kind: 'tls' }> {
  const path = join(dir, 'agent.yaml');
  const parsed = parseAgentConfig(await readText(path));
  if (!parsed.ok) throw new ProgramError(`${path} is not good: ${parsed.fault.message}`);
  const [ca, certificate, key] = await Promise.all(
    ['ca.crt', 'node.crt', 'node.key'].map((name) => readText(join(dir, name))),
  );
  const { registry, node, overlay } = parsed.value;
  checkExpiry(certificate ?? '', dir);
  return {
    kind: 'tls',
    addresses: registry,
    overlay,
    ca: ca ?? '',
    identity: { certificate: certificate ?? '', key: key ?? '' },
    who: 'node',
    from: dir,
    source: node.address,
  };
}

/** The registry could only say that it does not know who asks. */
function checkExpiry(certificate: string, dir: string): void {
  const expires = certificateExpiry(certificate);
  if (expires > Date.now()) return;
  const when = new Date(expires).toISOString();
  throw new ProgramError(
    `the certificate of the node in ${dir} expired at ${when}; check the clock, or run \`dmwg join\` again with a new token`,
  );
}

function overlayOf(certificate: string, path: string): string {
  try {
    return must(parseIdentity(derOf(certificate))).overlay;
  } catch {
    throw new ProgramError(`the certificate in ${path} does not say of which overlay it is; make the profile again`);
  }
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOENT') throw new ProgramError(`${path} does not exist; check the path`);
    if (code === 'EACCES') throw new ProgramError(`no permission to read ${path}; run this as its owner`);
    throw error;
  }
}

/** Whether a server accepts connections on this unix socket. */
function answers(path: string): Promise<boolean> {
  return new Promise<boolean>((done) => {
    const socket = connect({ path });
    socket.setTimeout(1000, () => {
      socket.destroy();
      done(false);
    });
    socket.on('connect', () => {
      socket.destroy();
      done(true);
    });
    socket.on('error', () => {
      done(false);
    });
  });
}
