import { type Address, type Family, familyOf, parseAddress } from './address.ts';
import { type Brand, fail, ok, type Result } from './result.ts';

/** UDP address and port of a WireGuard interface, "192.0.2.1:51820" or "[2001:db8::1]:51820". The NBMA address of NHRP. */
export type Endpoint = Brand<string, 'Endpoint'>;

export function parseEndpoint(text: string): Result<Endpoint> {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):(\d{1,5})$/.exec(text);
  const address = parseAddress(match?.[1] ?? match?.[2] ?? '');
  const port = Number(match?.[3] ?? 0);
  if (
    !match ||
    !address.ok ||
    port < 1 ||
    port > 65535 ||
    (familyOf(address.value) === 6) !== (match[1] !== undefined)
  ) {
    return fail(
      'bad-endpoint',
      `"${text.slice(0, 64)}" is not an endpoint such as 192.0.2.1:51820 or [2001:db8::1]:51820`,
    );
  }
  return ok(endpointOf(address.value, port));
}

export function endpointOf(address: Address, port: number): Endpoint {
  return (familyOf(address) === 6 ? `[${address}]:${String(port)}` : `${address}:${String(port)}`) as Endpoint;
}

export function endpointAddress(endpoint: Endpoint): Address {
  const host = endpoint.slice(0, endpoint.lastIndexOf(':'));
  return (host.startsWith('[') ? host.slice(1, -1) : host) as Address;
}

export function endpointPort(endpoint: Endpoint): number {
  return Number(endpoint.slice(endpoint.lastIndexOf(':') + 1));
}

export function endpointFamily(endpoint: Endpoint): Family {
  return endpoint.startsWith('[') ? 6 : 4;
}
