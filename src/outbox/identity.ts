// Who an outbox is. (source, epoch, lsn) names an event for ever, so the identity under which events wait must not
// change beneath them, and a database that began anew or was copied must not go on under the old one.

/** Under which name the events of an outbox go out. */
export interface Identity {
  readonly ns: string
  readonly source: string
  readonly epoch: string
}

/** Who the owner of the database says it is, as it wakes. */
export interface Owner {
  /** Id of the Durable Object, where it is known. */
  readonly object: string | undefined
  /** Configured, or the object's name. Nothing where the object was reached by id and cannot tell its name. */
  readonly ns: string | undefined
  readonly source: string
}

/** What the database says of its last life. */
export interface StoredIdentity extends Identity {
  readonly object: string | null
  readonly isPending: boolean
}

/**
 * Says whether the stored identity goes on or a new epoch begins (I9).
 *
 * A copy begins anew at once: its original goes on under the old epoch. A new ns or source waits until the events
 * that are pending under the old one have been delivered, as some of them may have been sent already.
 */
export function decideEpoch(stored: StoredIdentity, owner: Owner): 'goes-on' | 'begins' {
  const isCopy = stored.object !== null && owner.object !== undefined && stored.object !== owner.object
  if (isCopy) return 'begins'
  const isRenamed = stored.source !== owner.source || (owner.ns !== undefined && stored.ns !== owner.ns)
  return isRenamed && !stored.isPending ? 'begins' : 'goes-on'
}
