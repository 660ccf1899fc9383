// Own addresses on the underlay: looked at soon after the kernel told of a change. A look costs a few sockets and no program, so it
// need not wait for the loop's own look at everything, which rests a second after each.
import type { Address } from '#proto/model/address.ts';
import type { Event } from './decide/event.ts';

export interface AddressWatchOptions {
  readonly observe: () => Promise<readonly Address[]>;
  /** As the agent has them. */
  readonly known: () => readonly Address[];
  readonly post: (event: Event) => void;
}

export interface AddressWatch {
  /** The kernel may have changed. */
  readonly look: () => void;
}

/** Milliseconds: one address goes and another one comes, a line each, and its routes. */
const settleMs = 30;

export function createAddressWatch({ observe, known, post }: AddressWatchOptions): AddressWatch {
  let timer: NodeJS.Timeout | undefined;
  async function now(): Promise<void> {
    timer = undefined;
    const addresses = await observe();
    if (addresses.join() !== known().join()) post({ kind: 'local-addresses', addresses });
  }
  return {
    look: () => {
      timer ??= setTimeout(() => void now(), settleMs).unref();
    },
  };
}
