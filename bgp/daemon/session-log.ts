/**
 * What of sessions goes into the log, and at which level.
 */

import { describeFailure } from '#bgp/session/events.ts';
import type { SessionEvent } from '#bgp/session/handler.ts';
import type { Peer } from '#bgp/session/peer.ts';
import { formatAddress } from '#bgp/wire/address.ts';
import { familyName } from '#bgp/wire/constants.ts';
import { describeError } from '#bgp/wire/errors.ts';
import type { AttributeError, NextHop } from '#bgp/wire/types.ts';
import type { Log, LogLimit } from '#daemon/log.ts';

export class SessionLog {
  readonly #log: Log;
  readonly #limit: LogLimit;

  constructor(log: Log, limit: LogLimit) {
    this.#log = log;
    this.#limit = limit;
  }

  event(event: SessionEvent): void {
    switch (event.kind) {
      case 'state': {
        const { peer, from, to } = event;
        const facts = { neighbor: peer.name, from, to };
        if (to === 'Established') this.#log.info(this.#sessionFacts(peer), 'session established');
        else if (from === 'Established') this.#log.warn(facts, 'session ended');
        else this.#log.debug(facts, 'session state');
        return;
      }
      case 'failure': {
        const { peer, failure, side, established } = event;
        const reason = describeFailure(failure);
        // Attempts fail over and over while a neighbour is away.
        this.#limit.run(`failure ${peer.name} ${established}`, (leftOut) => {
          this.#log[established ? 'warn' : 'info'](
            { neighbor: peer.name, side, reason, ...more(leftOut) },
            established ? 'session failed' : 'connection failed',
          );
        });
        return;
      }
      case 'added':
      case 'removed':
        this.#log.info({ neighbor: event.peer.name }, `dynamic neighbour ${event.kind}`);
        return;
      case 'rejected':
        this.#limit.run('rejected', (leftOut) => {
          this.#log.warn(
            { address: event.address, reason: event.reason, ...more(leftOut) },
            'connection rejected',
          );
        });
        return;
      case 'keyFailed':
        this.#log.error(
          { neighbor: event.neighbor, error: event.error.message },
          'the kernel did not take the password: connections from there are refused (net.core.optmem_max bounds the number of passwords; reload once it is larger)',
        );
        return;
      case 'listening':
        this.#log.info({ address: event.address, port: event.port }, 'listening');
        return;
      case 'listenFailed':
        this.#log.error(
          { address: event.address, port: event.port, error: event.error.message },
          'can not listen',
        );
    }
  }

  /** Malformed attributes, with their bytes (RFC 7606 section 8). */
  malformed(peer: Peer, errors: readonly AttributeError[]): void {
    for (const error of errors) {
      this.#limit.run(`malformed ${peer.name}`, (leftOut) => {
        this.#log.warn(
          {
            neighbor: peer.name,
            attribute: error.code,
            action: error.action,
            rule: error.rule,
            ...more(leftOut),
          },
          `malformed UPDATE: ${describeError(error)}`,
        );
      });
    }
  }

  /** RFC 4271 section 6.3 asks for it. */
  foreignNextHop(neighbors: readonly string[], { bytes }: NextHop): void {
    this.#limit.run(`foreign next hop ${neighbors[0]}`, (leftOut) => {
      this.#log.warn(
        { neighbors: neighbors.slice(0, MOST_NAMES), nextHop: formatAddress(bytes), ...more(leftOut) },
        'routes are refused: their next hop is in no subnet shared with the neighbour (see connectedNextHop)',
      );
    });
  }

  #sessionFacts(peer: Peer): object {
    const negotiated = peer.session?.negotiated;
    return {
      neighbor: peer.name,
      remoteAs: negotiated?.peerAs,
      holdTime: negotiated?.holdTime,
      families: negotiated?.families.map(familyName),
    };
  }
}

/** Neighbours that one line names. */
const MOST_NAMES = 8;

function more(leftOut: number): object {
  return leftOut === 0 ? {} : { leftOutBefore: leftOut };
}
