// What to say of a changed list of announcements besides the whole of it: what comes, by an additive registration, and what
// goes, by a purge (RFC 2332 5.2.5). So a change costs what it is, however long the list.
import { containsAddress, containsPrefix, type Prefix } from '#proto/model/address.ts';
import type { OverlayConfig } from '#proto/model/session.ts';
import type { Announcement } from './announce.ts';
import type { Registration, RegistrationPart } from './registration-state.ts';
import type { AgentState } from './state.ts';

export interface AnnouncementDelta {
  readonly withdrawn: readonly Prefix[];
  /** New, or with another preference. */
  readonly added: readonly Announcement[];
}

/** A list as short as this is said as a whole, which is right whatever the registry had before. */
const shortList = 16;

/** Undefined: the whole list has to be said. */
export function announcementDelta(
  { config, registration }: Pick<AgentState, 'config'> & { readonly registration: Registration },
  next: ReadonlyMap<Prefix, Announcement>,
): AnnouncementDelta | undefined {
  const { announced: before, pending, refused } = registration;
  if (!config?.takesAdditive || !before || next.size <= shortList) return undefined;
  // What was not answered, or not taken, the registry may not have.
  if (pending.size > 0 || refused.length > 0) return undefined;
  const withdrawn = [...before.keys()].filter((prefix) => !next.has(prefix));
  const added = [...next.values()].filter(({ prefix, preference }) => before.get(prefix)?.preference !== preference);
  if (withdrawn.length + added.length >= next.size) return undefined;
  // A purge is of everything within a prefix.
  const own = config.address6 ? [config.address, config.address6] : [config.address];
  const tooWide = withdrawn.some(
    (gone) =>
      own.some((address) => containsAddress(gone, address)) ||
      [...next.keys()].some((prefix) => containsPrefix(gone, prefix)),
  );
  return tooWide ? undefined : { withdrawn, added };
}

export function isAddress(part: RegistrationPart): boolean {
  return part === 'address' || part === 'address6';
}

interface News {
  /** Whether what is announced was said already, or goes with everything else. */
  readonly announced: boolean;
  readonly announcements: AgentState['routing']['announcements'] | undefined;
  readonly delta: AnnouncementDelta | undefined;
}

/** Which requests say it. */
export function partsOf(config: OverlayConfig, { announced, announcements, delta }: News): RegistrationPart[] {
  if (delta) {
    const withdrawal: RegistrationPart[] = delta.withdrawn.length > 0 ? ['withdrawal'] : [];
    return delta.added.length > 0 ? [...withdrawal, 'prefixes'] : withdrawal;
  }
  const addresses: RegistrationPart[] = config.address6 ? ['address', 'address6'] : ['address'];
  return [...(announced ? addresses : []), ...(announcements ? (['prefixes'] as const) : [])];
}
