/** Thrown when a lab can not be, for a reason that the operator can put right. */
export class LabError extends Error {
  override readonly name = 'LabError';
  readonly code = 'LAB_FAILED';
}
