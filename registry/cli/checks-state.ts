// What a state dir says of itself: modes, certificate, registry.
import { join } from 'node:path';
import { certificateValidity } from '#proto/kit/certificate.ts';
import { errorText, ProgramError } from '#proto/kit/errors.ts';
import type { Check, Duty } from './checks.ts';
import type { Machine } from './machine.ts';

/** Names of files that hold a private key or what a thief could use. */
const secret = /\.key$|^admin\.yaml$|^state\.json$|^registry\.sock$/;
const day = 86_400_000;

/** The modes that keep secrets from other users, and the certificate against the clock. */
export async function checkStateDir(machine: Machine, dir: string, duty: Duty): Promise<Check[]> {
  const certificate = duty === 'registry' ? 'registry.crt' : 'node.crt';
  return [await checkModes(machine, dir), await checkCertificate(machine, join(dir, certificate), duty)];
}

async function checkModes(machine: Machine, dir: string): Promise<Check> {
  const fixes: string[] = [];
  if (((await machine.mode(dir)) ?? 0) & 0o077) fixes.push(`chmod 0700 ${dir}`);
  for (const folder of [dir, join(dir, 'keys')]) {
    for (const name of await machine.list(folder)) {
      const path = join(folder, name);
      if (secret.test(name) && ((await machine.mode(path)) ?? 0) & 0o077) fixes.push(`chmod 0600 ${path}`);
    }
  }
  if (fixes.length === 0) return { name: 'state dir', level: 'ok', detail: `${dir} is closed to others` };
  return {
    name: 'state dir',
    level: 'fail',
    detail: `other users may read secrets in ${dir}`,
    fix: fixes.join(' && '),
  };
}

async function checkCertificate(machine: Machine, path: string, duty: Duty): Promise<Check> {
  const name = 'certificate';
  const again =
    duty === 'registry' ? 'restore it from a backup' : `dmwg leave --force, then dmwg join with a new token`;
  const pem = await machine.read(path);
  if (pem === undefined) return { name, level: 'fail', detail: `${path} is missing or unreadable`, fix: again };
  try {
    const { from, until } = certificateValidity(pem);
    const date = new Date(until).toISOString().slice(0, 10);
    if (machine.now < from) {
      const detail = `not valid before ${new Date(from).toISOString()}: this machine's clock is behind`;
      return { name, level: 'fail', detail, fix: 'timedatectl set-ntp true' };
    }
    if (machine.now >= until) {
      return {
        name,
        level: 'fail',
        detail: `expired on ${date}, or this machine's clock is ahead (see date)`,
        fix: again,
      };
    }
    // It renews itself long before, if the registry runs.
    const soon = duty === 'registry' && until - machine.now < 30 * day;
    return { name, level: soon ? 'warn' : 'ok', detail: `valid until ${date}; the clock agrees` };
  } catch {
    return { name, level: 'fail', detail: `${path} is not a certificate`, fix: again };
  }
}

/** `ask` makes one call. A registry that is not started yet is no fault of its own machine. */
export async function checkRegistry(dir: string, duty: Duty, ask: () => Promise<unknown>): Promise<Check> {
  const name = 'registry';
  const started = performance.now();
  try {
    await ask();
    return { name, level: 'ok', detail: `answers in ${(performance.now() - started).toFixed(0)} ms` };
  } catch (error) {
    if (!(error instanceof ProgramError)) throw error;
    const detail = errorText(error);
    if (duty === 'registry') return { name, level: 'warn', detail, fix: `dmwg-registry --state-dir ${dir}` };
    return { name, level: 'fail', detail };
  }
}

export async function checkAgent(dir: string, ask: () => Promise<unknown>): Promise<Check> {
  try {
    await ask();
    return { name: 'agent', level: 'ok', detail: 'runs' };
  } catch (error) {
    if (!(error instanceof ProgramError)) throw error;
    return { name: 'agent', level: 'warn', detail: errorText(error), fix: `dmwg-agent --state-dir ${dir}` };
  }
}
