/**
 * The section `datastore` of a configuration, the same for every daemon that reads objects.
 */

import type { z } from 'zod';
import type { ConfigDocument } from './document.ts';
import { mapping, text } from './leaves.ts';

/** Where a daemon reads objects from. */
export type DatastoreSettings =
  | { readonly directory: string }
  | {
      readonly kubernetes: {
        /** A file as kubectl reads it; the account of the pod without one. */
        readonly kubeconfig: string | undefined;
      };
    };

const path = text('the path of a file', 4_095);

/**
 * One of the two.
 *
 * @param change what a change of it does, for people
 */
export function datastoreSection(change: string) {
  return mapping({
    directory: path.optional().meta({
      description: 'read objects from a directory of YAML files',
      otherwise: 'this or the next',
      example: '/etc/margay/objects',
      change,
    }),
    kubernetes: mapping({
      kubeconfig: path.optional().meta({
        description: 'read objects from the Kubernetes API that this file names, as kubectl does',
        otherwise: 'with `kubernetes: {}`, the account of the pod',
        example: '/etc/margay/kubeconfig',
        change,
      }),
    }).nullish(),
  });
}

/** What the section says; a problem is noted where it does not say one place. */
export function readDatastore(
  document: ConfigDocument,
  section: z.output<ReturnType<typeof datastoreSection>>,
): DatastoreSettings | undefined {
  const { directory, kubernetes } = section;
  // `kubernetes:` with nothing behind it is the account of the pod.
  const isCluster = kubernetes !== undefined;
  if (directory !== undefined && isCluster) {
    document.add(['datastore'], 'directory or kubernetes, not both', 'both');
    return undefined;
  }
  if (directory !== undefined) return { directory };
  if (isCluster) return { kubernetes: { kubeconfig: kubernetes?.kubeconfig } };
  document.add(['datastore'], 'directory: DIR, or kubernetes: {}', 'neither');
  return undefined;
}
