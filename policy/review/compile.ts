import type { Resource } from '#datastore/resource.ts';
import { Compiler } from '../compiler/compiler.ts';
import { NodeProgram } from '../program/node-program.ts';

/** All objects compiled for some nodes at one moment. */
export interface Compiled {
  readonly compiler: Compiler;
  readonly programs: ReadonlyMap<string, NodeProgram>;
}

/** Compiles for the nodes named, or for all nodes that pods are on; pods that are not scheduled are on node ''. */
export function compileResources(
  resources: readonly Resource[],
  nodes: Iterable<string> = nodesOf(resources),
): Compiled {
  const compiler = new Compiler();
  compiler.apply(resources.map((resource) => ({ type: 'put', resource })));
  compiler.flush();
  const programs = new Map<string, NodeProgram>();
  for (const node of nodes) {
    const program = new NodeProgram();
    compiler.open(node, program);
    programs.set(node, program);
  }
  return { compiler, programs };
}

function nodesOf(resources: readonly Resource[]): Set<string> {
  return new Set(resources.flatMap((resource) => (resource.kind === 'Pod' ? [resource.nodeName] : [])));
}
