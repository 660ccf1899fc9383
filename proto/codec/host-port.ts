import { familyOf, parseAddress } from '#proto/model/address.ts';
import { fail, ok, type Result } from '#proto/model/result.ts';

export interface HostPort {
  /** A DNS name or an address, an IPv6 one without brackets. */
  readonly host: string;
  readonly port: number;
}

/** "registry.example.net:7443", "192.0.2.1:7443", "[2001:db8::1]:7443"; without port only if there is a default one. */
export function parseHostPort(text: string, defaultPort?: number): Result<HostPort> {
  const bad = fail('bad-host-port', `"${text.slice(0, 64)}" is not host:port, such as registry.example.net:7443`);
  if (text.length > 262) return bad;
  const plain = parseAddress(text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text);
  if (plain.ok) return defaultPort === undefined ? bad : ok({ host: plain.value, port: defaultPort });
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]+))(?::(\d{1,5}))?$/.exec(text);
  const port = match?.[3] === undefined ? defaultPort : Number(match[3]);
  if (!match || port === undefined || port < 1 || port > 65535) return bad;
  if (match[1] !== undefined) {
    const address = parseAddress(match[1]);
    return address.ok && familyOf(address.value) === 6 ? ok({ host: address.value, port }) : bad;
  }
  const host = (match[2] ?? '').toLowerCase();
  return isHostName(host) ? ok({ host, port }) : bad;
}

export function formatHostPort({ host, port }: HostPort): string {
  return host.includes(':') ? `[${host}]:${String(port)}` : `${host}:${String(port)}`;
}

/** In canonical text. */
export function canonicalHostPort(text: string): Result<string> {
  const parsed = parseHostPort(text);
  return parsed.ok ? ok(formatHostPort(parsed.value)) : parsed;
}

/** Only digits and dots is an address or a mistake in one. */
function isHostName(host: string): boolean {
  if (/^[0-9.]+$/.test(host)) return parseAddress(host).ok;
  return host.split('.').every((label) => /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(label));
}
