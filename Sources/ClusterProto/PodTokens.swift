// Owns: the tokens of service accounts on their way into pods' volumes. Pure. It must not know keys or files.

/// One token of a pod's volumes.
package struct PodToken: Equatable, Sendable {
  /// A token before and after it is signed: it leaves the coordinator signed only.
  package enum Content: Equatable, Sendable {
    case claims(JSON)
    case signed(String)
  }

  /// The volume that it is in.
  package var volume: String
  /// The file's path below the volume's root.
  package var path: String
  /// How long it is valid from when it was made.
  package var seconds: Int64
  /// The token itself.
  package var content: Content

  /// Takes each value as it stands.
  package init(volume: String, path: String, seconds: Int64, content: Content) {
    self.volume = volume
    self.path = path
    self.seconds = seconds
    self.content = content
  }

  /// Where programs look for their account's token.
  package static let usualPath = "/var/run/secrets/kubernetes.io/serviceaccount"
  /// The volume that is mounted there without being asked for. Kubernetes ends this name in five random characters a
  /// pod; here all pods of a Job share one spec, so they are the same ones.
  package static let usualVolume = "kube-api-access-stint"

  /// That volume. The token's life is what Kubernetes asks for: a little more than the hour that people ask for.
  package static let usualVolumeSpec: JSON = [
    "name": .string(usualVolume),
    "projected": [
      "defaultMode": 420,
      "sources": [
        ["serviceAccountToken": ["expirationSeconds": 3_607, "path": "token"]],
        [
          "configMap": ["name": "kube-root-ca.crt", "items": [["key": "ca.crt", "path": "ca.crt"]]]
        ],
        [
          "downwardAPI": [
            "items": [
              ["path": "namespace", "fieldRef": ["apiVersion": "v1", "fieldPath": "metadata.namespace"]]
            ]
          ]
        ],
      ],
    ],
  ]

  /// The token's text; nil while nobody has signed it.
  package var text: String? { if case .signed(let text) = content, !text.isEmpty { text } else { nil } }

  var json: JSON {
    [
      "volume": .string(volume), "path": .string(path), "seconds": .int(seconds), "token": .string(text ?? ""),
    ]
  }

  init(json: JSON, _ what: String) throws(MessageError) {
    let reader = try MessageReader(json, what)
    self.init(
      volume: try reader.string("volume"), path: try reader.string("path"), seconds: try reader.integer("seconds"),
      content: .signed(try reader.string("token")))
  }
}

/// Fresh tokens of one attempt; none: it has no tokens, or is not this node's to run.
package struct AttemptTokens: Equatable, Sendable {
  /// Number of the attempt.
  package var attempt: AttemptNumber
  /// All of its volumes' tokens.
  package var tokens: [PodToken]

  /// Takes each value as it stands.
  package init(attempt: AttemptNumber, tokens: [PodToken]) {
    self.attempt = attempt
    self.tokens = tokens
  }

  var json: JSON { ["attempt": .int(attempt), "tokens": .array(tokens.map(\.json))] }

  init(json: JSON, _ what: String) throws(MessageError) {
    let reader = try MessageReader(json, what)
    self.init(
      attempt: try reader.integer("attempt"), tokens: try reader.list("tokens", PodToken.init(json:_:)))
  }
}

/// Where programs in pods find the Kubernetes API.
package struct APIAddress: Equatable, Sendable {
  /// A name or an address, without brackets.
  package var host: String
  /// The port.
  package var port: Int64
  /// That of the native protocol there, for `stint` itself; nil: a coordinator of a version before does not say.
  package var native: Int64?

  /// Takes each value as it stands.
  package init(host: String, port: Int64, native: Int64? = nil) {
    self.host = host
    self.port = port
    self.native = native
  }
}
