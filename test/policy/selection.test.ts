import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Labels } from '#datastore/schema.ts';
import {
  type PodSelection,
  type PodSelector,
  type Selectable,
  SelectionIndex,
  textOf,
} from '#policy/compiler/selection.ts';
import { canonicalSelector, selects } from '#policy/selector.ts';
import { runs } from '#test/helpers/runs.ts';
import { anyLabels, anySelector } from './generate.ts';

const namespace = fc.constantFrom('n0', 'n1', 'n2');
const anyPodSelector: fc.Arbitrary<PodSelector> = fc.record({
  namespaces: fc.oneof(
    namespace.map((name) => ({ name })),
    anySelector.map(canonicalSelector),
  ),
  pods: anySelector.map(canonicalSelector),
});

const step = fc.oneof(
  fc.record({ group: fc.record({ namespace, labels: anyLabels }) }),
  fc.record({ ungroup: fc.nat() }),
  fc.record({ acquire: anyPodSelector }),
  fc.record({ release: fc.nat() }),
  fc.record({ name: namespace, labels: fc.option(anyLabels, { nil: undefined }) }),
);

const defaults = (name: string): Labels => ({ b: name === 'n0' ? 'x' : 'y' });

test('the index selects what looking at everything would, and tells of each change once', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.constantFrom(0, 1, 16), (steps, few) => {
      const told = new Map<PodSelection<Selectable>, Set<Selectable>>();
      const toldOf = (selection: PodSelection<Selectable>) =>
        told.get(selection) ?? told.set(selection, new Set()).get(selection)!;
      const index = new SelectionIndex<Selectable>(
        {
          selected: (selection, group) => {
            expect(toldOf(selection).has(group)).toBe(false);
            toldOf(selection).add(group);
          },
          unselected: (selection, group) => expect(toldOf(selection).delete(group)).toBe(true),
        },
        defaults,
        few,
      );
      const groups: Selectable[] = [];
      const held: PodSelection<Selectable>[] = [];
      const namespaces = new Map<string, Labels>();
      for (const one of steps) {
        if ('group' in one) {
          groups.push(one.group);
          index.addGroup(one.group);
        } else if ('ungroup' in one) {
          const [group] = groups.splice(one.ungroup % Math.max(1, groups.length), 1);
          if (group !== undefined) index.removeGroup(group);
        } else if ('acquire' in one) {
          held.push(index.acquire(one.acquire));
        } else if ('release' in one) {
          const [selection] = held.splice(one.release % Math.max(1, held.length), 1);
          if (selection !== undefined) index.release(selection);
        } else {
          if (one.labels === undefined) namespaces.delete(one.name);
          else namespaces.set(one.name, one.labels);
          index.setNamespace(one.name, one.labels);
        }
        for (const selection of held) {
          const { namespaces: where, pods } = selection.selector;
          const expected = groups.filter(({ namespace, labels }) => {
            const right =
              'name' in where
                ? where.name === namespace
                : selects(where, namespaces.get(namespace) ?? defaults(namespace));
            return right && selects(pods, labels);
          });
          expect(selection.groups).toEqual(new Set(expected));
          expect(toldOf(selection)).toEqual(new Set(expected));
        }
        for (const group of groups) {
          const selections = [...new Set(held)].filter(({ groups }) => groups.has(group));
          expect(new Set(index.selectionsOf(group))).toEqual(new Set(selections));
        }
        expect(index.size).toBe(new Set(held.map(({ selector }) => textOf(selector))).size);
      }
    }),
    { numRuns: runs(500) },
  );
});

test('many selectors and many groups of a namespace look only at whom they may meet', () => {
  const many = 400;
  let looks = 0;
  const labelsOf = (i: number): Labels =>
    new Proxy({ app: `a${i}`, tier: i % 2 === 0 ? 'even' : 'odd' } as Record<string, string>, {
      get: (labels, key) => {
        looks++;
        return labels[key as string];
      },
    });
  const selectorOf = (i: number, where: PodSelector['namespaces']): PodSelector => ({
    namespaces: where,
    pods: canonicalSelector({ matchLabels: { app: `a${i}` }, matchExpressions: [] }),
  });
  const everywhere = canonicalSelector({ matchLabels: {}, matchExpressions: [] });
  for (const groupsFirst of [true, false]) {
    for (const where of [{ name: 'n0' }, everywhere]) {
      const index = new SelectionIndex<Selectable>({ selected() {}, unselected() {} }, defaults, 16);
      const addGroups = () => {
        for (let i = 0; i < many; i++) index.addGroup({ namespace: 'n0', labels: labelsOf(i) });
      };
      if (groupsFirst) addGroups();
      looks = 0;
      const held = Array.from({ length: many }, (_, i) => index.acquire(selectorOf(i, where)));
      if (!groupsFirst) addGroups();
      expect(held.map(({ groups }) => groups.size)).toEqual(held.map(() => 1));
      // Those of its own, the names of its drawers, and a few while there are few.
      expect(looks / many).toBeLessThan(20);
    }
  }
});
