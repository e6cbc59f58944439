// Requests for API objects and their answers, the same for both doors (native protocol and HTTP). Pure data.
// The meaning of verbs, validation, tables and watches is the coordinator core's.

/// What a request asks for, in Kubernetes' words for authorisation.
package enum APIVerb: String, Sendable, CaseIterable {
  case get, list, watch, create, update, patch, delete, deletecollection
  /// Log of a pod's container (`pods/log`): streams bytes, not objects.
  case log
}

/// How a patch is meant, by its media type.
package enum PatchKind: String, Sendable {
  case json = "application/json-patch+json"
  case merge = "application/merge-patch+json"
  case strategic = "application/strategic-merge-patch+json"
  case apply = "application/apply-patch+yaml"
}

/// How much of an object a reader wants.
package enum AnswerForm: String, Sendable { case object, table, metadata }

/// Query options of all verbs; each verb reads its own.
package struct APIOptions: Equatable, Sendable {
  package var labelSelector: String?
  package var fieldSelector: String?
  package var limit: Int64?
  package var continueToken: String?
  package var resourceVersion: String?
  package var resourceVersionMatch: String?
  package var allowWatchBookmarks = false
  package var sendInitialEvents: Bool?
  package var timeoutSeconds: Int64?
  package var dryRun = false
  package var fieldManager: String?
  /// Strict, Warn or Ignore; nil: the verb's default (Warn).
  package var fieldValidation: String?
  /// What strict decoding finds wrong with the body's text itself: `duplicate field "spec.suspend"`. Not sent.
  package var strictErrors: [String] = []
  package var force: Bool?
  package var patchKind: PatchKind?
  /// delete: grace, propagation (Background, Foreground, Orphan), preconditions.
  package var gracePeriodSeconds: Int64?
  package var propagationPolicy: String?
  package var preconditionUID: String?
  package var preconditionResourceVersion: String?
  /// Table requests: `includeObject` None, Metadata (default), Object.
  package var includeObject: String?
  /// log options (pods/log).
  package var container: String?
  package var follow = false
  package var previous = false
  package var tailLines: Int64?
  package var sinceSeconds: Int64?
  package var sinceTime: WallTime?
  package var timestamps = false
  package var limitBytes: Int64?

  package init() {}
}

/// One request for API objects.
package struct APIRequest: Equatable, Sendable {
  /// Who asks, as the door has proven it. Not sent.
  package var subject = Subject.anonymous
  /// The API group by which the resource was named, where that is not the kind's own. Not sent.
  package var group: String?
  package var verb: APIVerb
  package var kind: Kind
  /// Empty: cluster-scoped, or all namespaces for list and watch.
  package var namespace: String
  package var name: String
  /// `status`, `log`, `eviction`, … or empty.
  package var subresource: String
  package var options: APIOptions
  package var form: AnswerForm
  package var body: JSON?

  package init(
    verb: APIVerb, kind: Kind, namespace: String = "", name: String = "", subresource: String = "",
    options: APIOptions = APIOptions(), form: AnswerForm = .object, body: JSON? = nil
  ) {
    self.verb = verb
    self.kind = kind
    self.namespace = namespace
    self.name = name
    self.subresource = subresource
    self.options = options
    self.form = form
    self.body = body
  }
}

/// One part of an answer. A request gets any number of `items` and `event`s, then exactly one `done`.
package enum APIReply: Equatable, Sendable {
  /// A piece of a list: items in order, before the `done` that carries the list object without its items.
  case items([JSON])
  /// A watch event: ADDED, MODIFIED, DELETED, BOOKMARK, ERROR.
  case event(type: String, object: JSON)
  /// Code as HTTP's; `object` is the object, list frame, Table frame or Status; warnings as Kubernetes' Warning
  /// headers.
  case done(code: Int, object: JSON, warnings: [String])
  /// A piece of a log.
  case bytes([UInt8])
}
