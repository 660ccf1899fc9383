// WireGuard private keys: one file an interface, keys/NAME.key, made when it is first asked for. A key leaves its file only
// towards WireGuard, which is given the file.
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomic } from '#proto/kit/atomic-file.ts';
import { systemCode } from '#proto/kit/errors.ts';
import { Secret } from '#proto/kit/secret.ts';
import { parsePublicKey, type PublicKey } from '#proto/model/key.ts';
import { must } from '#proto/model/result.ts';
import { checkPrivate } from './state-dir.ts';

export interface InterfaceKey {
  readonly publicKey: PublicKey;
  /** For `wg set ... private-key FILE`. */
  readonly file: string;
}

export interface KeyStore {
  /** Makes the key if there is none. Throws if a file is there that is no private key: it is never replaced by itself. */
  interfaceKey(name: string): Promise<InterfaceKey>;
  /** Of all keys that are there. */
  publicKeys(): Promise<ReadonlySet<PublicKey>>;
  removeKey(name: string): Promise<void>;
}

/** PKCS#8 of an X25519 key, up to the 32 octets of the key itself (RFC 8410). */
const pkcs8Head = Buffer.from('302e020100300506032b656e04220420', 'hex');

export function createKeyStore(stateDir: string): KeyStore {
  const dir = join(stateDir, 'keys');
  /** One at a time for each name, so that two first askers get one key. */
  const asked = new Map<string, Promise<InterfaceKey>>();
  return {
    async interfaceKey(name) {
      const file = keyFile(dir, name);
      const running = asked.get(name);
      if (running) return running;
      const reading = readOrMake(dir, file);
      asked.set(name, reading);
      try {
        return await reading;
      } finally {
        asked.delete(name);
      }
    },
    async publicKeys() {
      const files = (await namesIn(dir)).filter((name) => name.endsWith('.key')).map((name) => join(dir, name));
      const keys = await Promise.all(
        files.map(async (file) => {
          const stored = await readStored(file);
          return stored ? [publicKeyOf(stored, file)] : [];
        }),
      );
      return new Set(keys.flat());
    },
    async removeKey(name) {
      await rm(keyFile(dir, name), { force: true });
    },
  };
}

async function namesIn(dir: string): Promise<string[]> {
  try {
    return await readdir(dir);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return [];
    throw error;
  }
}

async function readOrMake(dir: string, file: string): Promise<InterfaceKey> {
  const stored = await readStored(file);
  if (stored) return { publicKey: publicKeyOf(stored, file), file };
  const made = makePrivateKey();
  await mkdir(dir, { recursive: true, mode: 0o700 });
  await writeFileAtomic(file, `${made.reveal().toString('base64')}\n`);
  return { publicKey: publicKeyOf(made, file), file };
}

async function readStored(file: string): Promise<Secret<Buffer> | undefined> {
  try {
    const text = (await readFile(file, 'utf8')).trim();
    must(await checkPrivate(file));
    const key = Buffer.from(text, 'base64');
    if (key.length !== 32 || key.toString('base64') !== text) {
      throw new Error(`${file} holds no WireGuard private key: restore it, or remove it for a new one`);
    }
    return new Secret(key);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Clamped (RFC 7748 section 5), as `wg genkey` does: WireGuard then shows the key that the file has. */
function makePrivateKey(): Secret<Buffer> {
  const der = generateKeyPairSync('x25519').privateKey.export({ type: 'pkcs8', format: 'der' });
  const key = Buffer.from(der.subarray(pkcs8Head.length));
  key[0] = (key[0] ?? 0) & 0xf8;
  key[31] = ((key[31] ?? 0) & 0x7f) | 0x40;
  return new Secret(key);
}

function publicKeyOf(key: Secret<Buffer>, file: string): PublicKey {
  const der = Buffer.concat([pkcs8Head, key.reveal()]);
  const privateKey: KeyObject = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  const { x } = createPublicKey(privateKey).export({ format: 'jwk' });
  const publicKey = parsePublicKey(Buffer.from(x ?? '', 'base64url').toString('base64'));
  if (!publicKey.ok) throw new Error(`${file}: ${publicKey.fault.message}`);
  return publicKey.value;
}

function keyFile(dir: string, name: string): string {
  if (!/^[a-z0-9][a-z0-9-]{0,14}$/.test(name)) throw new Error(`"${name}" is not the name of an interface`);
  return join(dir, `${name}.key`);
}
