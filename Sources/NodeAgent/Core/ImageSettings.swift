// Settings of an agent about images: which it fetches, how many at once, when it tries again, and which it removes.

import ClusterProto

/// One fetch of an image; rises, never reused in one agent.
package typealias PullNumber = Int64

/// See the file's header. Defaults are the kubelet's where it has them. Milliseconds.
package struct ImageSettings: Equatable, Sendable {
  /// Whether images are fetched and run at all.
  package var mode = ImageMode.off
  /// All containers run as one user of the node's, whatever image and manifest name.
  package var hasOneUser = false
  /// Fetches that go on at once; further ones wait in their order.
  package var parallelPulls = 3
  /// The pause after a pod's first failure to fetch an image.
  package var backoffMilliseconds: Int64 = 10_000
  /// The longest of these pauses, each being twice the one before.
  package var backoffCapMilliseconds: Int64 = 300_000
  /// For so long a failure is shown as ErrImagePull, then as ImagePullBackOff.
  package var errorShownMilliseconds: Int64 = 2_000
  /// When a name that cannot be read, or an image that may not be fetched, is looked at again with a new body.
  package var retryMilliseconds: Int64 = 10_000
  /// For so long a fetch goes on whose pods only lost their session: the next one wants them again.
  package var lingerMilliseconds: Int64 = 60_000
  /// Images are removed when so much of the disk is used…
  package var highPercent: Int64 = 85
  /// … until so much is (both in percent).
  package var lowPercent: Int64 = 80
  /// No younger image is removed.
  package var minimumAgeMilliseconds: Int64 = 120_000
  /// An image that nobody has used for so long is removed whatever the disk has; nil: never.
  package var maximumAgeMilliseconds: Int64?
  /// How often that is looked at.
  package var collectionMilliseconds: Int64 = 300_000

  /// The defaults.
  package init() {}

  /// What the node's labels say of it.
  var labels: StringMap {
    var labels = StringMap()
    labels[ImageMode.label] = mode.rawValue
    if mode == .on { labels[ImageMode.usersLabel] = hasOneUser ? ImageMode.oneUser : ImageMode.ownUsers }
    return labels
  }
}
