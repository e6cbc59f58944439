// What attempts ask ImagePulls for, and what they and the host are told: data alone.

import ClusterProto

/// One container's image, and when it is fetched.
struct ImageNeed: Equatable {
  var container: String
  /// As the manifest writes it.
  var image: String
  var policy: ImagePullPolicy
}

/// What an attempt wants before it can be prepared.
struct ImageRequest: Equatable {
  var podUID: String
  /// In the order in which the containers start.
  var needs: [ImageNeed]
  var keyring = RegistryKeyring()

  /// Where several containers name an image, the most eager of their words counts for all.
  func policy(of image: String) -> ImagePullPolicy {
    let policies = needs.filter { $0.image == image }.map(\.policy)
    return policies.contains(.always) ? .always : policies.contains(.ifNotPresent) ? .ifNotPresent : .never
  }

  /// Each image once.
  var images: [String] {
    var seen: Set<String> = []
    return needs.map(\.image).filter { seen.insert($0).inserted }
  }
}

/// How far an attempt's images are.
enum ImageAnswer: Equatable {
  /// All are there, by the manifest's words for them.
  case ready([String: ImageRecord])
  case waiting
  /// Of the first container that has one: why it waits. `retryAt`: when its body is asked for anew, to try again.
  case failed(PreparationFailure, retryAt: BootTime)
}

/// What the host is asked to do.
enum ImageOrder: Equatable {
  case pull(PullNumber, ImageReference, [RegistryCredential])
  case cancel(PullNumber)
}

/// An Event of the pod in the usual course of things.
struct ImageWord: Equatable {
  var attempt: AttemptNumber
  var container: String
  var reason: String
  var message: String
}
