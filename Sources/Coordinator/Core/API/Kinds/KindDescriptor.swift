// What the API does differently for a kind: one value a kind, each made in a file beside this one, and the table of
// them. Whoever treats kinds differently asks here. It must not know requests, the state, or any one kind's rules.

import ClusterProto

/// All that is different about one kind. A class: the path of every change hands it around as one pointer.
final class KindDescriptor: Sendable {
  let served: ServedRules
  let table: TableRules
  let selection: SelectionRules
  let writes: WriteRules
  /// Nil for a kind whose status is no part of its own (`…/status` is not served).
  let status: StatusRules?
  let deletion: DeletionRules
  /// Nil for a kind that gives nobody rights.
  let access: AccessPart?

  init(
    served: ServedRules = ServedRules(), table: TableRules, selection: SelectionRules = SelectionRules(),
    writes: WriteRules, status: StatusRules? = nil, deletion: DeletionRules = DeletionRules(),
    access: AccessPart? = nil
  ) {
    self.served = served
    self.table = table
    self.selection = selection
    self.writes = writes
    self.status = status
    self.deletion = deletion
    self.access = access
  }

  /// Complete by the compiler: a kind without a descriptor does not build.
  static func of(_ kind: Kind) -> KindDescriptor {
    switch kind {
    case .namespaces: namespaces
    case .nodes: nodes
    case .configmaps: configMaps
    case .secrets: secrets
    case .serviceaccounts: serviceAccounts
    case .services: services
    case .leases: leases
    case .priorityclasses: priorityClasses
    case .poddisruptionbudgets: disruptionBudgets
    case .jobs: jobs
    case .queues: queues
    case .resourcequotas: resourceQuotas
    case .limitranges: limitRanges
    case .cronjobs: cronJobs
    case .pods: pods
    case .events: events
    case .persistentvolumes: persistentVolumes
    case .persistentvolumeclaims: persistentVolumeClaims
    case .storageclasses: storageClasses
    case .roles: roles
    case .clusterroles: clusterRoles
    case .rolebindings: roleBindings
    case .clusterrolebindings: clusterRoleBindings
    }
  }
}

/// What is served of a kind, as discovery shows it.
struct ServedRules: Sendable {
  var verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
  /// What is served below an object.
  var subresources: [ServedSubresource] = []
  /// Subresources that Kubernetes has and this version does not, and what there is instead.
  var unserved: [String: String] = [:]
  /// Whether `kubectl get all` shows it.
  var isInAll = false
  /// Who works with it, in the built-in roles. A kind outside of namespaces names its own.
  var tier = AccessTier.everyday
}

/// The kind's table for people.
struct TableRules: Sendable {
  var columns: [TableColumn]
  /// As many cells as columns.
  var cells: @Sendable (APIObject, WallTime) -> [JSON]
}

/// What field selectors can select by, beyond name and namespace.
struct SelectionRules: Sendable {
  var fields: [SelectableField] = []
  /// Kubernetes' words for a field that is none of these, where there are any.
  var refusal: @Sendable (String) -> String = { "field label not supported: \($0)" }
}

/// A field of field selectors, and its text in an object.
struct SelectableField: Sendable {
  var name: String
  var value: @Sendable (APIObject) -> String
}

/// How objects of the kind are created and updated, in the order of use.
struct WriteRules: Sendable {
  typealias Check = @Sendable (JSON, inout FieldErrors) -> Void
  typealias Change = @Sendable (inout JSON) -> Void

  /// What an object has before anybody has written a field: the structs that are never absent.
  var skeleton: JSON = ["metadata": [:]]
  /// What is wrong with a name; Kubernetes' sentences.
  var nameProblems: @Sendable (String) -> [String] = { Names.subdomainErrors($0) }
  /// SetDefaults of a decoded tree: of a new object and of one that is written again.
  var defaults: Change = { _ in }
  /// Defaults that only a new object gets.
  var newDefaults: Change = { _ in }
  /// What the server adds of its own to a new object: generated labels, admission. None of it is its creator's.
  var complete: @Sendable (inout JSON, CoordinatorConfiguration) -> Void = { _, _ in }
  /// What depends on other objects: whether a new object may be there at all, and what it takes over from them.
  var admit: @Sendable (inout JSON, CoordinatorCore) throws(APIFailure) -> Void = { (_, _) throws(APIFailure) in }
  /// The same for an update that is valid: the new tree and the stored object.
  var admitUpdate: @Sendable (JSON, APIObject, CoordinatorCore) throws(APIFailure) -> Void = {
    (_, _, _) throws(APIFailure) in
  }
  /// What an update keeps of the stored object although its body has another value, or none; may add warnings.
  var settle: @Sendable (inout JSON, APIObject, CoordinatorConfiguration, inout [String]) -> Void = { _, _, _, _ in }
  /// The rules for a new object, after those of metadata.
  var validateNew: Check = { _, _ in }
  /// The rules for an update: the new tree and the stored object.
  var validateUpdate: @Sendable (JSON, APIObject, inout FieldErrors) -> Void = { _, _, _ in }
  /// The rules that what the coordinator was started with decides, of a new object or an update.
  var validateWith: @Sendable (JSON, _ before: APIObject?, CoordinatorConfiguration, inout FieldErrors) -> Void = {
    _, _, _, _ in
  }
  /// What this version says about values that it does not act on: the tree as it came, and with its defaults.
  var honesty: @Sendable (inout Honesty, DecodedTree, JSON) -> Void = { _, _, _ in }
  /// Whether that is said again at updates.
  var isHonestAtUpdates = true
  /// What a new and valid object takes over from its own parts.
  var inherit: Change = { _ in }
  /// Whether an update raises `metadata.generation`; nil: the kind counts no generations.
  var raisesGeneration: (@Sendable (_ before: APIObject, _ after: APIObject) -> Bool)?
}

/// How the status is written.
struct StatusRules: Sendable {
  /// The object with the given status, which may be absent.
  var write: @Sendable (JSON?, APIObject) throws(APIFailure) -> APIObject
  /// Whether the write may change the owners too.
  var writesOwners = true
  /// Why a status that a new object comes with is dropped, where its creator would expect it to stay.
  var dropsNew: String?
}

/// What a deletion does where the client says nothing else.
struct DeletionRules: Sendable {
  var propagation = Propagation.background
  /// Told to a client that names no propagation.
  var warning: String?
  /// Whether Kubernetes answers with the object although it is gone; else with a Status.
  var returnsObject = false
  /// Objects that nobody can delete.
  var keeps: [String] = []
  /// What is said of them where Kubernetes has words of its own.
  var keepsBecause: String?
}
