// Owns: the text of a kubeconfig that serves kubectl, client libraries and `stint`. It must not know whose it is.

import ClusterIO
import ClusterProto

/// What a kubeconfig with one context says.
package struct KubeconfigText {
  /// Name of the cluster's entry. Files of several clusters can be put together, so it is no other cluster's.
  package var cluster: String
  /// URL of the Kubernetes API.
  package var server: String
  /// Address of the native protocol, `HOST:PORT`.
  package var native: String
  /// Certificates of the authority, PEM.
  package var authority: [UInt8]
  /// Who the user is. His entry and the context are named after him and the cluster.
  package var user: String
  /// The user's certificate and key.
  package var identity: PEMIdentity
  /// The context's namespace.
  package var namespace = "default"

  /// Takes each value as it stands; the others have defaults.
  package init(
    server: String, native: String, authority: [UInt8], cluster: String, user: String, identity: PEMIdentity
  ) {
    self.cluster = cluster
    self.server = server
    self.native = native
    self.authority = authority
    self.user = user
    self.identity = identity
  }

  /// The name of the cluster with that id where nobody has given it another.
  package static func name(ofCluster id: String) -> String { id.isEmpty ? "stint" : "stint-\(id.prefix(8))" }

  private var context: String { "\(user)@\(cluster)" }

  /// YAML.
  package var text: String {
    """
    apiVersion: v1
    kind: Config
    clusters:
    - name: \(quoted(cluster))
      cluster:
        server: \(server)
        certificate-authority-data: \(Base64.encode(authority))
        extensions:
        - name: stint
          extension:
            native: \(quoted(native))
    users:
    - name: \(quoted(context))
      user:
        client-certificate-data: \(Base64.encode(identity.certificate))
        client-key-data: \(Base64.encode(identity.key))
    contexts:
    - name: \(quoted(context))
      context:
        cluster: \(quoted(cluster))
        user: \(quoted(context))
        namespace: \(quoted(namespace))
    current-context: \(quoted(context))

    """
  }

  /// JSON's strings are YAML's too.
  private func quoted(_ text: String) -> String { JSON.string(text).text }
}
