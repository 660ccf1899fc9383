// What to say of a changed list of announcements besides the whole of it: what comes, by an additive registration, and what
// goes, by a purge (RFC 2332 5.2.5). So a change costs what it is, however long the list.
import { containsAddress, containsPrefix, type Prefix } from '#proto/model/address.ts';
import type { Announcement } from './announce.ts';
import type { Registration } from './registration-state.ts';
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
