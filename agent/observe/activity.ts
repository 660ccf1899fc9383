import { type Address, parseAddress } from '#proto/model/address.ts';
import type { Run } from '#agent/io/host-port.ts';
import { isObject, objects } from './json.ts';

/**
 * Remote addresses that were spoken with within the firewall's idle timeout. Throws an ExecError when there is no table: that is
 * no sign of idleness.
 */
export async function observeActivity(run: Run, table: string): Promise<Address[]> {
  const found = await Promise.all(['used4', 'used6'].map((set) => listSet(run, table, set)));
  return found.flat();
}

async function listSet(run: Run, table: string, set: string): Promise<Address[]> {
  return parseSet((await run('nft', ['-j', 'list', 'set', 'inet', table, set])).stdout);
}

/** An element is an address, or an object with the address and its timeout. */
export function parseSet(json: string): Address[] {
  const document: unknown = JSON.parse(json);
  const addresses: Address[] = [];
  for (const entry of isObject(document) ? objects(document['nftables']) : []) {
    const elements = isObject(entry['set']) ? entry['set']['elem'] : undefined;
    for (const element of Array.isArray(elements) ? (elements as unknown[]) : []) {
      const value = isObject(element) && isObject(element['elem']) ? element['elem']['val'] : element;
      const address = parseAddress(typeof value === 'string' ? value : '');
      if (address.ok) addresses.push(address.value);
    }
  }
  return addresses;
}
