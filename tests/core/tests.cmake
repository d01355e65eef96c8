# One line per header with rules in it; the tree mirrors core/.
tallygate_test(core/config/combination)
tallygate_test(core/config/declarations)
tallygate_test(core/config/describe)
target_compile_definitions(core.config.describe PRIVATE
  TALLYGATE_EXAMPLE_TOML="${PROJECT_SOURCE_DIR}/conf/tallygate.toml")
tallygate_test(core/config/duration)
tallygate_test(core/config/form)
tallygate_test(core/config/nearest)
tallygate_test(core/config/parse)
tallygate_test(core/config/time_text)
tallygate_test(core/config/unavailable)
tallygate_test(core/config/wrong)
