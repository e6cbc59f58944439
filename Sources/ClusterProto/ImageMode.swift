// What a node does with the images that containers name, and what it does unless it is told.

/// Whether containers run in their images, or every container's command is a program of the host.
package enum ImageMode: String, Sendable {
  /// An image is fetched and run; only `image: host` runs the host's programs.
  case on
  /// Nothing is fetched; every container runs the host's programs.
  case off

  /// What `--images` is when nobody says: only root makes the roots of containers.
  package static func usual(asRoot: Bool) -> ImageMode { asRoot ? .on : .off }
  /// The label by which a node says what it does.
  package static let label = "stint.dev/images"
  /// The label by which a node that runs images says as whom: `own`, the users that image and manifest name; `one`, the
  /// one that all its pods have (`--pod-user`).
  package static let usersLabel = "stint.dev/image-users"
  /// Value of `usersLabel` on a node whose pods are all one user's.
  package static let oneUser = "one"
  /// Its value elsewhere.
  package static let ownUsers = "own"

  /// `nodeInfo.containerRuntimeVersion` of a node of that version.
  package func runtimeVersion(_ version: String) -> String {
    switch self {
    case .on: "stint://\(version)"
    case .off: "stint-host://\(version)"
    }
  }
}
