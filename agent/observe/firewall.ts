import { parseStateChains } from '#agent/decide/firewall-state.ts';
import type { FirewallState } from '#agent/decide/host.ts';
import type { Run } from '#agent/io/host-port.ts';
import { isObject, objects, text } from './json.ts';

/** Our table's values; undefined when there is no table, or one that another version made. */
export async function observeFirewall(run: Run, table: string): Promise<FirewallState | undefined> {
  return parseFirewall((await run('nft', ['-j', 'list', 'chains', 'inet'])).stdout, table);
}

/** `json`: of `nft -j list chains inet`. */
export function parseFirewall(json: string, table: string): FirewallState | undefined {
  const document: unknown = JSON.parse(json);
  const chains = isObject(document) ? objects(document['nftables']).map((entry) => entry['chain']) : [];
  const ours = chains.filter(isObject).filter((chain) => chain['table'] === table);
  const state = parseStateChains(ours.map((chain) => text(chain['name'])));
  return state.ok ? state.value : undefined;
}
