/**
 * What peers of rules are made of. An atom is a condition on the other end of a connection that rules share: some pods,
 * some addresses, or some pods by the number that they give to a port name. A facet is one way to fulfil an atom; the
 * class of an address is the set of facets that it has.
 */

import type { AddressRange } from '#datastore/address.ts';
import type { Protocol } from '#datastore/schema.ts';
import type { PodGroup } from './pods.ts';
import type { PodSelection } from './selection.ts';
import type { View } from './view.ts';

/** A condition on a peer. Interned: one object for one text, as long as somebody uses it. */
export class Atom {
  /** Canonical: the same for all that mean the same. */
  readonly text: string;
  /** Pods that fulfil it; `undefined` if whoever has the right address does. */
  readonly pods: PodSelection<PodGroup> | undefined;
  /** Addresses that fulfil it; `undefined` if all of those pods do. Sorted and apart. */
  readonly ranges: readonly AddressRange[] | undefined;
  /** Only pods that have a port of this name, and each by the number that it gives to it. */
  readonly port: PortName | undefined;
  /** Views that tell peers apart by it. */
  readonly views = new Set<View>();
  readonly #facets = new Map<number, Facet>();

  constructor(text: string, parts: Pick<Atom, 'pods' | 'ranges' | 'port'>) {
    this.text = text;
    this.pods = parts.pods;
    this.ranges = parts.ranges;
    this.port = parts.port;
  }

  /** The facet for a number of the named port; 0 for an atom without one. */
  facet(port = 0): Facet {
    const known = this.#facets.get(port);
    if (known !== undefined) return known;
    const facet = new Facet(this, port);
    this.#facets.set(port, facet);
    return facet;
  }

  /** The ways in which a group's pods fulfil it, as far as that does not depend on their addresses. */
  facetsOf(group: PodGroup): Facet[] {
    const { port } = this;
    if (port === undefined) return [this.facet()];
    const numbers = group.ports.filter(
      ({ name, protocol }) => name === port.name && protocol === port.protocol,
    );
    return [...new Set(numbers.map(({ port }) => port))].map((number) => this.facet(number));
  }
}

export interface PortName {
  readonly name: string;
  readonly protocol: Protocol;
}

let facets = 0;

export class Facet {
  /** Of this process only. */
  readonly number = facets++;
  readonly atom: Atom;
  /** What the named port of the atom is for the peer; 0 if the atom has none. */
  readonly port: number;

  constructor(atom: Atom, port: number) {
    this.atom = atom;
    this.port = port;
  }

  get text(): string {
    return this.port === 0 ? this.atom.text : `${this.atom.text}=${this.port}`;
  }
}
