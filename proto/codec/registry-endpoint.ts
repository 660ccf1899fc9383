import type * as wire from '#proto/gen/dmwg/v1/nhrp.ts';
import type { Result } from '#proto/model/result.ts';
import type { RegistryEndpoint } from '#proto/model/session.ts';
import * as f from './fields.ts';
import { formatHostPort, parseHostPort } from './host-port.ts';

export function decodeRegistry(registry: wire.RegistryEndpoint): Result<RegistryEndpoint> {
  return f.fields({
    address: f.map(parseHostPort(registry.address), formatHostPort),
    priority: f.u8(registry.priority),
    cluster: f.u8(registry.cluster),
  });
}
