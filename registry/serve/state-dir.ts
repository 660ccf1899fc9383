import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseRegistryConfig, type RegistryConfig } from '#proto/codec/registry-config.ts';
import { writeFileAtomic } from '#proto/kit/atomic-file.ts';
import { certificateExpiry } from '#proto/kit/certificate.ts';
import { errorText, ProgramError, systemCode } from '#proto/kit/errors.ts';
import { Secret } from '#proto/kit/secret.ts';
import type { OverlayRecord } from '#registry/decide/records.ts';
import type { KeyMaterial } from './tls.ts';

/** What `dmwg init` wrote. */
export interface StateDir {
  readonly path: string;
  readonly config: RegistryConfig;
  readonly ca: KeyMaterial;
  readonly registry: KeyMaterial;
}

/** Throws ProgramError that names the file and what to do. */
export async function readStateDir(path: string): Promise<StateDir> {
  const text = await read(path, 'registry.yaml');
  const config = parseRegistryConfig(text);
  if (!config.ok) throw new ProgramError(`${join(path, 'registry.yaml')}: ${config.fault.message}`);
  return {
    path,
    config: config.value,
    ca: await readPair(path, 'ca'),
    registry: await readPair(path, 'registry'),
  };
}

/** Key first: a crash in between leaves a pair that does not match, which the next start finds out. */
export async function saveRegistryKeys(path: string, material: KeyMaterial): Promise<void> {
  await writeFileAtomic(join(path, 'registry.key'), material.key.reveal(), 0o600);
  await writeFileAtomic(join(path, 'registry.crt'), material.certificate, 0o644);
}

/** The settings that a new overlay starts with. */
export function overlaySeed(config: RegistryConfig): OverlayRecord {
  return {
    name: config.overlay,
    phase: config.phase,
    pool: config.pool,
    pool6: config.pool6,
    summaries: config.summaries,
    linkPrefix: config.linkPrefix,
    holdingTime: config.holdingTime,
    negativeHoldingTime: config.negativeHoldingTime,
    idleTimeout: config.idleTimeout,
    bfdInterval: config.bfdInterval,
    bfdMultiplier: config.bfdMultiplier,
    mtu: config.mtu,
    maxConnections: config.maxConnections,
    fallbackTime: config.fallbackTime,
    prefixLimit: 1000,
  };
}

async function readPair(path: string, name: string): Promise<KeyMaterial> {
  const certificate = await read(path, `${name}.crt`);
  const key = await read(path, `${name}.key`);
  try {
    certificateExpiry(certificate);
  } catch (error) {
    throw new ProgramError(`${join(path, `${name}.crt`)} is no certificate: ${errorText(error)}`);
  }
  return { certificate, key: new Secret(key) };
}

async function read(path: string, name: string): Promise<string> {
  const file = join(path, name);
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    switch (systemCode(error)) {
      case 'ENOENT':
      case 'ENOTDIR':
        throw new ProgramError(
          name === 'registry.yaml'
            ? `${path} is not the state dir of a registry (there is no ${name}): create one with dmwg init --state-dir ${path} ...`
            : `${file} is missing: restore it from a backup, or create a new overlay with dmwg init`,
        );
      case 'EACCES':
        throw new ProgramError(`${file} cannot be read: run dmwg-registry as the user that ran dmwg init`);
      default:
        throw new ProgramError(`${file} cannot be read: ${errorText(error)}`);
    }
  }
}
