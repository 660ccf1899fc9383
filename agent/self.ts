import { createHash } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { AgentConfig } from '#proto/codec/agent-config.ts';
import { writeFileAtomic } from '#proto/kit/atomic-file.ts';
import { systemCode } from '#proto/kit/errors.ts';
import { endpointPort } from '#proto/model/endpoint.ts';
import type { Self } from './decide/state.ts';
import { refuseIfAnswering } from './io/status-server.ts';

/** The file in a state dir that says where its agent listens. */
export const socketPathFile = 'agent.socket-path';

export function selfOf(config: AgentConfig, interfacePrefix: string): Self {
  const { node } = config;
  const endpoint = config.endpoints[0];
  return {
    node: node.id,
    name: node.name,
    role: node.role,
    interfacePrefix,
    endpoints: node.role === 'hub' ? config.endpoints : [],
    listenPort: config.listenPort ?? (node.role === 'hub' && endpoint ? endpointPort(endpoint) : undefined),
    nflogGroup: nflogGroupOf(interfacePrefix),
    prefixes: node.prefixes,
    routing: config.routing,
    exit: config.exit,
    mtu: config.mtu,
    uplinks: config.uplinks,
    quality: config.quality,
  };
}

/** Two agents in one network namespace have different prefixes, so different groups; away from small numbers, which people use. */
function nflogGroupOf(interfacePrefix: string): number {
  return 1024 + (createHash('sha256').update(interfacePrefix).digest().readUInt16BE(0) % 60_000);
}

/**
 * Makes the run dir if there is none, and writes the socket's path where `dmwg status` looks. Throws a ProgramError if an
 * agent answers where the last one of this state dir listened.
 */
export async function socketPathOf(stateDir: string, runDir: string | undefined): Promise<string> {
  const dir = resolve(runDir ?? stateDir);
  const former = await writtenSocketPath(stateDir);
  if (former !== undefined) await refuseIfAnswering(former);
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const path = join(dir, 'agent.sock');
  await writeFileAtomic(join(stateDir, socketPathFile), `${path}\n`);
  return path;
}

/** Where the agent of a state dir listens, or listened. */
export async function writtenSocketPath(stateDir: string): Promise<string | undefined> {
  try {
    return (await readFile(join(stateDir, socketPathFile), 'utf8')).trim();
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
