// What is said at submission of security contexts: what is refused by name, where else than in containers of images
// they would be ignored, and that a pod will wait where no node holds it to them.

import ClusterProto

extension Honesty {
  /// Whether the pod says of itself what only containers of images are held to.
  static func isConfined(_ spec: JSON) -> Bool {
    spec["hostUsers"]?.boolValue == false || contexts(spec).contains { !SecuritySpec(json: $0.json).confining.isEmpty }
  }

  private static func contexts(_ spec: JSON) -> [(json: JSON?, path: String)] {
    var result: [(JSON?, String)] = [(spec["securityContext"], "securityContext")]
    for list in ["initContainers", "containers"] {
      for (index, container) in (spec[list]?.arrayValue ?? []).enumerated() {
        result.append((container["securityContext"], "\(list)[\(index)].securityContext"))
      }
    }
    return result
  }

  /// `path`: the pod spec's.
  mutating func security(_ spec: JSON, _ path: String) {
    for (context, at) in Self.contexts(spec) { profiles(context ?? .null, "\(path).\(at)") }
    ofHost(spec, path)
    guard errors.isEmpty, images.holding == 0, Self.isConfined(spec) else { return }
    let field = spec["hostUsers"]?.boolValue == false ? "hostUsers" : "securityContext"
    warn(
      "\(path).\(field)",
      "no node here would hold the pod to it (one does with --images=on and without --pod-user): the pod waits for one")
  }

  mutating func profiles(_ context: JSON, _ at: String) {
    if let type = context[path: ["appArmorProfile", "type"]]?.stringValue, type != "Unconfined" {
      refuse("\(at).appArmorProfile")
    }
  }

  /// A program of the host runs as the node's pods do.
  private mutating func ofHost(_ spec: JSON, _ path: String) {
    var ofPod: [String] = []
    for list in ["initContainers", "containers"] {
      for (index, container) in (spec[list]?.arrayValue ?? []).enumerated()
      where ImageReference.isHost(container["image"]?.stringValue ?? "") {
        ofPod = SecuritySpec(json: spec["securityContext"]).confining
        if spec["hostUsers"]?.boolValue == false { refuse("\(path).\(list)[\(index)].image", Self.hostUsersText) }
        for name in SecuritySpec(json: container["securityContext"]).confining {
          refuse("\(path).\(list)[\(index)].securityContext.\(name)", Self.hostText)
        }
      }
    }
    for name in ofPod { refuse("\(path).securityContext.\(name)", Self.hostText) }
  }

  static let hostUsersText =
    "not supported by this version with `hostUsers: false`: a program of the host runs as one of the host's users; "
    + "name an image"

  static let hostText =
    "not supported by this version for `image: host`, which is a program of the host; name an image"
}
