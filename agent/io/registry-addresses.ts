// Where the names of registries lead: no route of the overlay may cover the way there.
import { lookup } from 'node:dns/promises';
import { pause } from '#proto/kit/clock.ts';
import { parseAddress } from '#proto/model/address.ts';
import { type Endpoint, endpointOf } from '#proto/model/endpoint.ts';

export interface RegistryAddresses {
  /** Other names, or they are wanted now. */
  readonly look: () => void;
  readonly run: (signal: AbortSignal) => Promise<void>;
}

export interface RegistryAddressesOptions {
  /** host:port */
  readonly names: () => readonly string[];
  readonly onFound: (endpoints: readonly Endpoint[]) => void;
}

const eachMs = 60_000;

/** Tells where they are each minute; a name that leads nowhere now keeps where it led before. */
export function createRegistryAddresses({ names, onFound }: RegistryAddressesOptions): RegistryAddresses {
  const found = new Map<string, readonly Endpoint[]>();
  let rest = new AbortController();

  async function look(): Promise<void> {
    const wanted = names();
    await Promise.all(
      wanted.map(async (name) => {
        const endpoints = await endpointsOf(name);
        if (endpoints.length > 0) found.set(name, endpoints);
      }),
    );
    const endpoints = wanted.flatMap((name) => found.get(name) ?? []);
    if (endpoints.length > 0) onFound([...new Set(endpoints)].sort());
  }

  return {
    look: () => {
      rest.abort();
    },
    run: async (signal) => {
      while (!signal.aborted) {
        rest = new AbortController();
        await look();
        await pause(eachMs, AbortSignal.any([signal, rest.signal]));
      }
    },
  };
}

async function endpointsOf(name: string): Promise<Endpoint[]> {
  const [, host = '', port = ''] = /^\[?(.*?)\]?:(\d+)$/.exec(name) ?? [];
  try {
    const addresses = await lookup(host, { all: true });
    return addresses.flatMap(({ address }) => {
      const parsed = parseAddress(address);
      return parsed.ok ? [endpointOf(parsed.value, Number(port))] : [];
    });
  } catch {
    return [];
  }
}
