from tests.test_concept_run import root  # noqa: F401 - the fixture of small frames
