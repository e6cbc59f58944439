// Descriptions of the questions that are answered and not kept. Data, no behaviour.

extension Descriptions {
  static let reviews = """
    TokenRequest: TokenRequest asks for a token of a service account.
    TokenRequestSpec: TokenRequestSpec is what the token shall say.
      audiences: Whom it is shown to; the API itself when absent.
      expirationSeconds: How long it is valid, from 600 on; 3600 when absent.
      boundObjectRef: A Pod, Secret or Node that it dies with.
    BoundObjectReference: BoundObjectReference is what a token dies with.
      kind: Pod, Secret or Node.
      apiVersion: v1.
      name: The object's name.
      uid: The object's uid; the token is refused where it is another's.
    TokenRequestStatus: TokenRequestStatus is the answer.
      token: The token.
      expirationTimestamp: When it ends.
    TokenReview: TokenReview asks whose a token is.
    TokenReviewSpec: TokenReviewSpec is the question.
      token: The token.
      audiences: Whom it may be shown to; the API itself when absent.
    TokenReviewStatus: TokenReviewStatus is the answer.
      authenticated: Whether it is anybody's.
      user: Whose it is.
      audiences: For which of the audiences it is.
      error: Why it is nobody's.
    SelfSubjectAccessReview: SelfSubjectAccessReview asks whether the caller may do something.
    SelfSubjectAccessReviewSpec: SelfSubjectAccessReviewSpec is the question; one of these.
      resourceAttributes: Something to do with a resource.
      nonResourceAttributes: Something to do with a path.
    ResourceAttributes: ResourceAttributes is something to do with a resource.
      namespace: The namespace; empty: all.
      verb: What is to be done, as create; * is everything.
      group: The API group; * is every one.
      version: Its version.
      resource: The resource, as pods.
      subresource: The subresource, as log.
      name: The object's name; empty: all.
      fieldSelector: Which objects, by their fields.
      labelSelector: Which objects, by their labels.
    NonResourceAttributes: NonResourceAttributes is something to do with a path.
      path: The path.
      verb: The method in small letters.
    SubjectAccessReviewStatus: SubjectAccessReviewStatus is the answer.
      allowed: Whether it may.
      denied: Whether somebody has said no.
      reason: Why.
      evaluationError: What kept the question from being answered in full.
    SubjectAccessReview: SubjectAccessReview asks whether somebody may do something.
    LocalSubjectAccessReview: LocalSubjectAccessReview asks whether somebody may do something in its namespace.
    SubjectAccessReviewSpec: SubjectAccessReviewSpec is the question.
      resourceAttributes: Something to do with a resource.
      nonResourceAttributes: Something to do with a path.
      user: The name.
      groups: The groups; none is added to them.
      extra: Never looked at.
      uid: Never looked at.
    SelfSubjectRulesReview: SelfSubjectRulesReview asks what the caller may do in a namespace.
    SelfSubjectRulesReviewSpec: SelfSubjectRulesReviewSpec is the question.
      namespace: The namespace.
    SubjectRulesReviewStatus: SubjectRulesReviewStatus is the answer.
      resourceRules: What it may do with resources.
      nonResourceRules: What it may do with paths.
      incomplete: Whether there may be more.
      evaluationError: What kept the question from being answered in full.
    ResourceRule: ResourceRule is what the caller may do with resources.
      verbs: What it may do.
      apiGroups: In which groups.
      resources: With which resources.
      resourceNames: With which objects; empty: all.
    NonResourceRule: NonResourceRule is what the caller may do with paths.
      verbs: What it may do.
      nonResourceURLs: With which paths.
    SelfSubjectReview: SelfSubjectReview asks who the caller is.
    SelfSubjectReviewStatus: SelfSubjectReviewStatus is the answer.
      userInfo: The caller.
    UserInfo: UserInfo is who somebody is.
      username: The name.
      uid: An identity that the name alone is not.
      groups: The groups.
      extra: What else is known.
    """
}
