// How much a plan may hold. A manifest of two kilobytes can ask for terabytes (variables that name variables, a big
// ConfigMap imported into each container), and the agent makes it before any kernel could refuse it. Knows no spec.

/// The bounds of what the agent makes of a manifest.
package enum PlanLimits {
  /// Linux' MAX_ARG_STRLEN without the byte that ends the text: of an argument, or of a variable with its name.
  package static let text = 128 * 1024 - 1
  /// What Linux gives a program's arguments and environment together (a quarter of the usual stack).
  package static let container = 2 * 1024 * 1024
  /// Of all containers, with their mounts. JSON may write six bytes for one: the message stays below what the keeper
  /// reads (32 MiB) even then.
  package static let pod = 4 * 1024 * 1024
  /// Linux' PATH_MAX without the byte that ends the text.
  package static let path = 4095
  /// What the volumes of a pod may hold of ConfigMaps, Secrets and the downward API.
  package static let volumes = 64 * 1024 * 1024
}
