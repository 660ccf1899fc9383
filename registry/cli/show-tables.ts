import { formatSpan, formatTable } from './table.ts';
import type { BindingView, EventView, NodeView, OverlayView, RouteView, TokenView } from './views.ts';

export function nodeTable(nodes: readonly NodeView[]): string {
  return formatTable<NodeView>(
    [
      { title: 'NAME', text: ({ name }) => name },
      { title: 'ROLE', text: ({ role }) => role },
      { title: 'ADDRESS', text: ({ address, address6 }) => list([address, address6 ?? '']) },
      { title: 'PREFIXES', text: ({ prefixes }) => list(prefixes) },
      { title: 'STATE', text: nodeState },
      { title: 'EXPIRES', text: (node) => (node.registered ? formatSpan(node.expiresIn) : '') },
      { title: 'ENDPOINTS', text: nodeEndpoints },
      { title: 'ID', text: ({ id }) => id },
    ],
    nodes,
  );
}

function nodeState(node: NodeView): string {
  if (!node.registered) return node.registeredAt === null ? 'never seen' : 'gone';
  const draining = node.draining === true ? ', draining' : '';
  return `${node.connected ? 'connected' : 'registered'}${draining}`;
}

/** Where it is seen, else where it says it is. */
function nodeEndpoints({ endpoints, nat }: NodeView): string {
  const observed = endpoints.filter(({ kind }) => kind === 'observed');
  const shown = (observed.length > 0 ? observed : endpoints).map(({ address }) => address);
  return `${list([...new Set(shown)])}${nat ? ' (NAT)' : ''}`;
}

export function bindingTable(bindings: readonly BindingView[]): string {
  return formatTable<BindingView>(
    [
      { title: 'PREFIX', text: ({ prefix }) => prefix },
      { title: 'VIA', text: ({ address }) => address },
      { title: 'NODE', text: ({ node }) => node },
      { title: 'NBMA', text: ({ nbma }) => nbma ?? '' },
      { title: 'TYPE', text: ({ type }) => type },
      { title: 'FLAGS', text: ({ flags }) => flags.join(' ') },
      { title: 'CREATED', text: ({ created }) => (created === null ? '' : shortTime(created)) },
      { title: 'EXPIRES', text: ({ expiresIn }) => formatSpan(expiresIn) },
    ],
    bindings,
  );
}

export function routeTable(routes: readonly RouteView[]): string {
  return formatTable<RouteView>(
    [
      { title: 'PREFIX', text: ({ prefix }) => prefix },
      { title: 'NODE', text: ({ node }) => node },
      { title: 'PREFERENCE', text: ({ preference }) => String(preference), right: true },
      { title: 'STATE', text: ({ state }) => state },
      { title: 'AGE', text: ({ age }) => formatSpan(age) },
      { title: 'REASON', text: ({ reason }) => reason },
    ],
    routes,
  );
}

export function tokenTable(tokens: readonly TokenView[]): string {
  return formatTable<TokenView>(
    [
      { title: 'ID', text: ({ id }) => id },
      { title: 'ROLE', text: ({ role }) => role },
      { title: 'PREFIXES', text: ({ prefixes, shared }) => `${list(prefixes)}${shared ? ' shared' : ''}` },
      { title: 'TAGS', text: ({ tags }) => list(tags) },
      { title: 'USES LEFT', text: ({ usesLeft }) => String(usesLeft), right: true },
      { title: 'EXPIRES', text: ({ expires }) => (expires === null ? 'never' : shortTime(expires)) },
    ],
    tokens,
  );
}

export function eventTable(events: readonly EventView[]): string {
  return formatTable<EventView>(
    [
      { title: 'TIME', text: ({ time }) => (time === null ? '' : shortTime(time)) },
      { title: 'EVENT', text: ({ kind }) => kind },
      { title: 'NODE', text: ({ node }) => node ?? '' },
      { title: 'DETAIL', text: ({ detail }) => detail ?? '' },
    ],
    events,
  );
}

export function overlayTable(overlay: OverlayView): string {
  return formatTable<readonly [string, string]>(
    [
      { title: 'KEY', text: ([key]) => key },
      { title: 'VALUE', text: ([, value]) => value },
    ],
    Object.entries(overlay).map(([key, value]) => [key, Array.isArray(value) ? list(value) : String(value ?? '')]),
  );
}

export function list(items: readonly string[]): string {
  return items.filter((item) => item !== '').join(',');
}

/** "2026-01-31 13:05:00Z" */
function shortTime(moment: string): string {
  return moment.replace('T', ' ').replace(/\.\d+Z$/, 'Z');
}
