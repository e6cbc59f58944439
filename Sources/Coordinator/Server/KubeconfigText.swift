// Owns: the text of a kubeconfig that serves kubectl, client libraries and `stint`. It must not know whose it is.

import ClusterIO
import ClusterProto

/// What a kubeconfig with one context says.
package struct KubeconfigText {
  /// Name of the cluster's entry.
  package var cluster = "stint"
  /// URL of the Kubernetes API.
  package var server: String
  /// Address of the native protocol, `HOST:PORT`.
  package var native: String
  /// Certificates of the authority, PEM.
  package var authority: [UInt8]
  /// Name of the user's entry.
  package var user: String
  /// The user's certificate and key.
  package var identity: PEMIdentity
  /// Name of the context.
  package var context = "stint"
  /// The context's namespace.
  package var namespace = "default"

  /// Takes each value as it stands; the others have defaults.
  package init(server: String, native: String, authority: [UInt8], user: String, identity: PEMIdentity) {
    self.server = server
    self.native = native
    self.authority = authority
    self.user = user
    self.identity = identity
  }

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
    - name: \(quoted(user))
      user:
        client-certificate-data: \(Base64.encode(identity.certificate))
        client-key-data: \(Base64.encode(identity.key))
    contexts:
    - name: \(quoted(context))
      context:
        cluster: \(quoted(cluster))
        user: \(quoted(user))
        namespace: \(quoted(namespace))
    current-context: \(quoted(context))

    """
  }

  /// JSON's strings are YAML's too.
  private func quoted(_ text: String) -> String { JSON.string(text).text }
}
