// What a pod's and a container's securityContext say, typed for the planner. Reads only; the API has validated it.

/// A pod's or a container's `securityContext`: a container's own members go before the pod's.
package struct SecuritySpec: Equatable, Sendable {
  /// Who runs; nil: not said.
  package var runAsUser: Int64?
  /// Its group; nil: not said.
  package var runAsGroup: Int64?
  /// Root is refused; nil: not said.
  package var runAsNonRoot: Bool?
  /// Of a pod: more groups.
  package var supplementalGroups: [Int64]
  /// Of a pod: `Strict` leaves out what the image's /etc/group says.
  package var isStrictOnGroups: Bool
  /// Of a pod: the group of its volumes; nil: not said.
  package var fsGroup: Int64?
  /// Of a container: false lets no set-uid program give anything.
  package var allowPrivilegeEscalation: Bool?
  /// Of a container: everything that root may.
  package var isPrivileged: Bool
  /// Of a container: capabilities beside the usual ones, by name.
  package var addedCapabilities: [String]
  /// Of a container: usual ones that it does without.
  package var droppedCapabilities: [String]
  /// Of a container: its root takes no changes.
  package var isReadOnlyRoot: Bool
  /// Of a container: nothing of /proc is hidden.
  package var unmasksProc: Bool
  /// `RuntimeDefault`, `Unconfined` or `Localhost`; nil: not said.
  package var seccompType: String?
  /// With `Localhost`: a path below the node's directory of profiles.
  package var seccompProfile: String?

  /// What is missing is not said.
  package init(json: JSON?) {
    func names(_ name: String) -> [String] {
      (json?[path: ["capabilities", name]]?.arrayValue ?? []).compactMap(\.stringValue)
    }
    runAsUser = json?["runAsUser"]?.intValue
    runAsGroup = json?["runAsGroup"]?.intValue
    runAsNonRoot = json?["runAsNonRoot"]?.boolValue
    supplementalGroups = (json?["supplementalGroups"]?.arrayValue ?? []).compactMap(\.intValue)
    isStrictOnGroups = json?["supplementalGroupsPolicy"]?.stringValue == "Strict"
    fsGroup = json?["fsGroup"]?.intValue
    allowPrivilegeEscalation = json?["allowPrivilegeEscalation"]?.boolValue
    isPrivileged = json?["privileged"]?.boolValue ?? false
    addedCapabilities = names("add")
    droppedCapabilities = names("drop")
    isReadOnlyRoot = json?["readOnlyRootFilesystem"]?.boolValue ?? false
    unmasksProc = json?["procMount"]?.stringValue == "Unmasked"
    seccompType = json?[path: ["seccompProfile", "type"]]?.stringValue
    seccompProfile = json?[path: ["seccompProfile", "localhostProfile"]]?.stringValue
  }

  /// The members, by their names in manifests, that say who runs or hold something back: only a container of an image
  /// honours them, so its like must not run as a program of the host.
  package var confining: [String] {
    var names: [String] = []
    func add(_ name: String, _ isSet: Bool) { if isSet { names.append(name) } }
    add("runAsUser", runAsUser != nil)
    add("runAsGroup", runAsGroup != nil)
    add("runAsNonRoot", runAsNonRoot == true)
    add("supplementalGroups", !supplementalGroups.isEmpty)
    add("fsGroup", fsGroup != nil)
    add("seccompProfile", seccompType.map { $0 != "Unconfined" } ?? false)
    add("capabilities.drop", !droppedCapabilities.isEmpty)
    add("readOnlyRootFilesystem", isReadOnlyRoot)
    add("allowPrivilegeEscalation", allowPrivilegeEscalation == false)
    return names
  }

  /// More rights than a container has by itself: where pods run as one user of the node's, there are none to give.
  package var asksForRights: Bool { isPrivileged || !addedCapabilities.isEmpty }
}
